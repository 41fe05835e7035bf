"""One drill on a cloud that is up: planned, agreed to, watched to its end, recorded."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from rich.console import Console

from handler.decisions.choosing import NO_SNAPSHOT
from handler.documents.request import EventRefused
from handler.documents.restore_request import parse_restore_event
from local.aws import connection, outputs
from local.cloud import Cloud
from local.common.console import COLOURS, duration
from local.common.following import follow
from local.common.restores import Progress, Told, grouped, planned, reasons, record, worst
from local.common.variables import Unusable
from local.run import POLL_SECONDS, Refused, read_event, start

# The longest drill by the API's clock: a restore and a boot that end at their limits, twice.
LONGEST_DRILL_SECONDS = 4 * 3600
# For the work itself, which is not scaled.
LONGEST_WORK_SECONDS = 900
FUNCTION = "StartRestoreFunction"
DOES = "The drill restores, looks whether it comes back, and removes it again:"
WOULD = "A dry run: nothing is made. A drill would restore:"

Check = Callable[[], None]
Agreed = Callable[[str], bool]
Night = Callable[[dict[str, Any]], object]


def load_drill(source: str) -> dict[str, Any]:
    """The event in that file, or that JSON itself.

    Raises Unusable if it is no JSON or no drill, Refused if StartRestore would refuse it.
    """
    event = read_event(source)
    try:
        request = parse_restore_event(event)
    except EventRefused as refusal:
        raise Refused(str(refusal)) from None
    if request.keep or request.sweep:
        raise Unusable(
            "A drill keeps nothing: leave keep and sweep out of the event. To get a server back, "
            "`make restore` has the deployed stack make one."
        )
    return dict(event)


def refuse_undrilled(api: str, event: dict[str, Any], yes: bool) -> None:
    """Raises Unusable if the real API needs a confirmation and there is no terminal."""
    if api == "real" and not event.get("dry_run") and not yes and not sys.stdin.isatty():
        raise Unusable(
            "This would make a server on the real Hetzner API, which costs money, and delete it "
            "again, and there is no terminal to ask on. Say YES=1 if you mean it, or "
            """EVENT='{"dry_run": true}', which only says what it would do."""
        )


class Drill:
    """`record` is build/drill.json; `check` is called between the looks and may raise."""

    def __init__(
        self, cloud: Cloud, console: Console, record: Path, check: Check = lambda: None
    ) -> None:
        self._cloud = cloud
        self._console = console
        self._record = record
        self._check = check
        self._step_functions = boto3.client("stepfunctions", **connection(cloud.aws))

    def whole(self, event: dict[str, Any], night: Night, agreed: Agreed) -> int:
        """0 if it is Completed. Plays `night` first where nothing is saved yet. Raises Refused."""
        # An earlier drill's record must not be mistaken for this one's.
        self._record.unlink(missing_ok=True)
        plan = self.plan(event)
        if can_have_a_night(event, plan, self._cloud.api):
            self._say("There is no snapshot yet that could be restored, so a night comes first.")
            night({"servers": event["servers"]} if event.get("servers") else {})
            plan = self.plan(event)
        is_dry = bool(event.get("dry_run"))
        self.say_plan(plan, is_dry)
        told = plan
        if can_begin(plan) and not is_dry:
            if not agreed(question(plan, self._cloud.endpoint)):
                self._say("Nothing was done.")
                return 1
            told = self.play(as_planned(event, plan))
        verdict = write_drill(told, self._record)
        self._say(f"For programs: {self._record}.")
        if verdict != "Completed":
            self._say(f"The drill ended {verdict}: exit code 1. Why is above.")
        return 0 if verdict == "Completed" else 1

    def plan(self, event: dict[str, Any]) -> list[Told]:
        """A dry run: what the event would restore."""
        return self._watch({**event, "dry_run": True}, lambda _: None)

    def say_plan(self, plan: list[Told], is_dry: bool) -> None:
        if can_begin(plan):
            self._say(WOULD if is_dry else DOES)
        for told in plan:
            for line in planned(told):
                self._say(f"  {line}")
            for note in grouped(told.notes):
                self._say(f"  Note: {note}")
            if not told.results:
                self._say(told.line)

    def play(self, event: dict[str, Any]) -> list[Told]:
        """Raises Refused."""
        told = self._watch(event, self._show)
        self._console.print()
        for each in told:
            colour = COLOURS.get(each.verdict, "bold red")
            self._console.print(each.line, style=colour, soft_wrap=True)
            for line in reasons(each):
                self._say(f"  {line}")
        return told

    def _watch(self, event: dict[str, Any], show: Callable[[Progress], None]) -> list[Told]:
        answer = start(self._cloud, outputs(self._cloud.aws)[FUNCTION], event)
        for warning in answer.get("warnings", []):
            self._say(f"Warning: {warning}")
        deadline = time.monotonic() + (
            LONGEST_DRILL_SECONDS * self._cloud.wait_scale + LONGEST_WORK_SECONDS
        )

        def pause() -> None:
            self._check()
            if time.monotonic() > deadline:
                raise Unusable("The drill does not end. `make logs` is for a cloud of `make up`.")
            time.sleep(POLL_SECONDS)

        found = []
        for execution in answer["executions"]:
            told = Told()
            try:
                found.append(
                    follow(self._step_functions, execution["execution_arn"], told, show, pause)
                )
            except BaseException:
                self._say_what_is_left(told)
                raise
        return found

    def _say_what_is_left(self, told: Told) -> None:
        """What watches over a drill ends with this cloud, and its copy would not be removed."""
        if self._cloud.api == "simulator" or not told.copies:
            return
        for server, name in told.copies.items():
            self._say(
                f"The copy of {server} may be there still, and costs what it costs. Nothing "
                f"removes it any more. Delete it in the Hetzner console, or:\n"
                f"  hcloud server delete {name}"
            )

    def _show(self, progress: Progress) -> None:
        reason = f": {progress.reason}" if progress.reason else ""
        said = f"{progress.server:<16} {progress.what}{reason}"
        self._console.print(f"{duration(progress.elapsed_s):>8}  {said}", soft_wrap=True)

    def _say(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)


def question(plan: list[Told], endpoint: str) -> str:
    """What is asked before a drill on the real API, with what it costs."""
    results = [each for told in plan for each in told.results if each.status == "planned"]
    prices = ", ".join(f"{each.price_per_hour} per hour" for each in results if each.price_per_hour)
    what = "a server is" if len(results) == 1 else f"{len(results)} servers are"
    costs = f"It costs {prices}" if prices else "What it costs Hetzner does not tell"
    return (
        f"For this drill {what} made at Hetzner, started behind a firewall that lets nothing out, "
        f"looked at, and deleted again. {costs}; Hetzner bills a begun hour as a whole one.\n"
        f"Do this on {endpoint}, for real?"
    )


def as_planned(event: dict[str, Any], plan: list[Told]) -> dict[str, Any]:
    """The event, with the servers of the plan, those that get no drill too: what was said is what
    is done, and the verdict is about all of it."""
    ids = [each.id for told in plan for each in told.results if each.id]
    return event if event.get("snapshot") or not ids else {**event, "servers": ids}


def can_have_a_night(event: dict[str, Any], plan: list[Told], api: str) -> bool:
    """Whether a night of the simulator would make what there is to restore."""
    said = [note for told in plan for note in told.notes]
    said += [result.reason for told in plan for result in told.results]
    is_unsaved = any(NO_SNAPSHOT in each for each in said)
    return api == "simulator" and is_unsaved and not can_begin(plan) and not event.get("snapshot")


def can_begin(plan: list[Told]) -> bool:
    return any(result.status == "planned" for told in plan for result in told.results)


def write_drill(told: list[Told], path: Path) -> str:
    """Writes build/drill.json; the verdict."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record(told), indent=2) + "\n")
    return worst(told)
