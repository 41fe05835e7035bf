"""The CPU time of a cold start, measured on the package that `sam build` made."""

import os
import subprocess
import sys
from dataclasses import dataclass
from statistics import mean

from local.virtual.functions import module_of
from local.virtual.template import ROOT

FUNCTIONS = ("CreateSnapshot", "CheckSnapshot", "PruneSnapshots")
TIMES = 2
SECONDS = 30
# Lambda's own part: the process, its runtime client.
RUNTIME_SECONDS = 0.1
PROGRAM = """
import sys, time
sys.path.insert(0, sys.argv[1])
start = time.process_time()
__import__(sys.argv[2])
imported = time.process_time()
sys.modules["handler.aws.clients"].ssm()
print(imported - start, time.process_time() - imported)
"""


@dataclass(frozen=True, slots=True)
class ColdStart:
    """Seconds of one full CPU of this machine; the least of some tries, mean of the functions."""

    import_s: float  # Lambda gives a full CPU for this
    client_s: float  # but only the function's share for the client of SSM, made at the first call

    def seconds(self, slower: float) -> float:
        return RUNTIME_SECONDS + self.import_s + self.client_s * slower


def measure() -> ColdStart:
    """Measures it without compiled files, as Lambda compiles the package at every cold start."""
    tries = {name: [_one(name) for _ in range(TIMES)] for name in FUNCTIONS}
    return ColdStart(
        mean(min(seconds for seconds, _ in some) for some in tries.values()),
        mean(min(seconds for _, seconds in some) for some in tries.values()),
    )


def _one(function: str) -> tuple[float, float]:
    built = ROOT / ".aws-sam" / "build" / function
    folder = built if built.exists() else ROOT
    module = module_of(function)
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_DEFAULT_REGION": "us-east-1",
        # With this variable, as on Lambda, clients are made while the container starts.
        "AWS_LAMBDA_FUNCTION_NAME": function,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), module],
        env=environment, capture_output=True, text=True, timeout=SECONDS, check=True,
    )  # fmt: skip
    imported, client = done.stdout.split()
    return float(imported), float(client)
