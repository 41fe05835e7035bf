"""`make events`: the files of events/ into the Test tabs of StartRun and StartRestore."""

from deploy.account import connect, refuse_unready, stack_in
from deploy.bring import sam
from deploy.settings import ROOT, Settings

SAM_SECONDS = 120
# Events of StartRestore, which only a stack with Restores has; the others are StartRun's.
OF_RESTORE = ("drill", "restore")


def put_events(settings: Settings) -> int:
    """Each under its file's name; one of that name is replaced."""
    account = connect(settings)
    stack = stack_in(account, settings)
    refuse_unready(stack, settings)
    restores = "StartRestoreFunction" in stack.outputs
    for path in sorted((ROOT / "events").glob("*.json")):
        if path.stem in OF_RESTORE and not restores:
            continue
        function = "StartRestore" if path.stem in OF_RESTORE else "StartRun"
        arguments = [
            *("test-event", "put", function, "--stack-name", stack.name),
            *("--region", account.region, "--name", path.stem, "--file", str(path), "--force"),
        ]
        sam("remote", arguments, SAM_SECONDS)
    return 0
