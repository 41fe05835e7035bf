"""The local cloud's commands, called by make: run, drill, up, invoke, repair, logs, down.

Exit code: 0 if all went well (for a run or drill: Completed), 1 if it did not, 2 if what was asked
for cannot be done, 128 + the signal's number if it was interrupted.
"""

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from handler.documents.printable import printable_lines
from local.aws import DeployFailed
from local.commands import Commands
from local.common.console import plain_console
from local.common.streams import steady_streams
from local.common.variables import Unusable, flag
from local.daemon import Daemon
from local.environment import forget_the_rest
from local.options import Options, event_source, refuse_for_a_cloud_that_is_up
from local.run import Interrupted, Refused
from local.service import Crashed


def main(arguments: list[str]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    # The token is in the memory of this process and of the local AWS' functions: if one of them
    # crashes, that must not be written to a file.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    console = plain_console()
    environ = dict(os.environ)
    forget_the_rest()
    try:
        return _run(arguments, environ, console)
    except (Unusable, Refused) as refusal:
        console.print(printable_lines(str(refusal)), style="red", soft_wrap=True)
        return 2
    except (Crashed, DeployFailed, BotoCoreError, ClientError) as error:
        console.print(printable_lines(str(error)), style="red", soft_wrap=True)
        return 1
    except OSError as error:
        said = f"{error.filename or 'A file'}: {error.strerror or error}."
        console.print(printable_lines(said), style="red", soft_wrap=True)
        return 2
    except Interrupted as interruption:
        console.print(f"Interrupted ({signal.Signals(interruption.number).name}).")
        return 128 + interruption.number


def _run(arguments: list[str], environ: dict[str, str], console: Console) -> int:
    build = Path(environ.get("CLOUD_DIR") or "build")
    if arguments[:1] == ["hold"]:
        Daemon(Path(arguments[1])).hold(Options(**json.load(sys.stdin)))
        return 0
    commands = Commands(console, build)
    yes = flag(environ, "YES")
    actions: dict[str, Callable[[], int]] = {
        "run": lambda: commands.run(event_source(environ), Options.from_env(environ), yes),
        "drill": lambda: commands.drill(
            event_source(environ, "events/drill.json"), Options.from_env(environ), yes
        ),
        "up": lambda: commands.up(Options.from_env(environ)),
        "invoke": lambda: _invoke(commands, environ),
        "repair": commands.repair,
        "logs": lambda: commands.logs(environ.get("SERVER", "").strip()),
        "down": commands.down,
    }
    return actions[arguments[0]]()


def _invoke(commands: Commands, environ: dict[str, str]) -> int:
    refuse_for_a_cloud_that_is_up(environ)
    return commands.invoke(event_source(environ), flag(environ, "REAL"), flag(environ, "YES"))


def _interrupt(number: int, frame: FrameType | None) -> None:
    # Further signals are ignored: the clean-up must not be interrupted.
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(number)


if __name__ == "__main__":
    steady_streams()
    sys.exit(main(sys.argv[1:]))
