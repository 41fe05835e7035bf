"""`make drill` as a whole: a copy of a server is made, greets on a socket, and is removed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.virtual.template import ROOT
from tests.leaks import a_token, piece_of

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]
TOKEN = a_token("of the drill")


def test_a_drill_proves_a_snapshot_and_leaves_nothing(tmp_path: Path) -> None:
    plain = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    subprocess.run(["make", "build"], cwd=ROOT, env=plain, check=True, timeout=200)
    done = subprocess.run(
        [sys.executable, "-m", "local", "drill"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "CLOUD_DIR": str(tmp_path), "SIMULATOR_TOKEN": TOKEN},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
    )
    said = done.stdout
    assert done.returncode == 0, said
    record = json.loads((tmp_path / "drill.json").read_text())
    assert record["verdict"] == "Completed"
    [restore] = record["restores"]
    assert restore["status"] == "proven" and restore["image_id"]
    assert restore["seconds"] > 0
    assert restore["server_type"] and restore["location"]
    assert restore["cost"].endswith(" EUR") and float(restore["cost"].split()[0]) > 0
    # What a person reads: what it is about, its steps in their order, how it ended.
    steps = [
        " creating the copy",
        " booting",
        " removing",
        "\nCompleted: Proven: ",
        "The local cloud is down",
    ]
    assert sorted(steps, key=said.find) == steps and all(step in said for step in steps), said
    assert f"Completed: Proven: {restore['server']}, snapshot {restore['image_id']} of " in said
    assert not piece_of(TOKEN, said + json.dumps(record))
