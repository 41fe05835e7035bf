"""`make events`: the files of events/ into the Test tab of StartRun's console."""

from deploy.account import connect, refuse_unready, stack_in
from deploy.bring import sam
from deploy.settings import ROOT, Settings

SAM_SECONDS = 120


def put_events(settings: Settings) -> int:
    """Each under its file's name; one of that name is replaced."""
    account = connect(settings)
    stack = stack_in(account, settings)
    refuse_unready(stack, settings)
    for path in sorted((ROOT / "events").glob("*.json")):
        arguments = [
            *("test-event", "put", "StartRun", "--stack-name", stack.name),
            *("--region", account.region, "--name", path.stem, "--file", str(path), "--force"),
        ]
        sam("remote", arguments, SAM_SECONDS)
    return 0
