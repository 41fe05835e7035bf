"""What `make run`, `drill`, `up`, `invoke`, `logs` and `down` do."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from local import story
from local.aws import STACK, LogTail, deploy, outputs, store_token
from local.cloud import Cloud, running
from local.common.attention import resuming
from local.common.board import Board
from local.common.last_screen import print_summary
from local.common.variables import Unusable
from local.daemon import Daemon
from local.drill import Drill, load_drill, refuse_undrilled
from local.inbox import Inbox
from local.logs import readable
from local.options import Options
from local.run import Interrupted, load_event, start, watch, write_record
from local.show import Show

Check = Callable[[], None]
NOTHING_UP = "No local cloud is up. `make up` starts one; `make run` does everything at once."


class Commands:
    def __init__(self, console: Console, build: Path) -> None:
        self._console = console
        self._build = build
        self._daemon = Daemon(build)

    def run(self, event: str, options: Options, yes: bool) -> int:
        asked = load_event(event)
        self._say_notices(options)
        refuse_unasked(options.api, asked, yes)
        with self._cloud_of_its_own("run", options) as (cloud, check):
            if cloud.fleet == story.FLEET:
                return self._tell_story(cloud, asked, check)
            return self.run_on(cloud, asked, yes, check)

    def drill(self, event: str, options: Options, yes: bool) -> int:
        asked = load_drill(event)
        self._say_notices(options)
        refuse_undrilled(options.api, asked, yes)
        with self._cloud_of_its_own("drill", options, Restores="true") as (cloud, check):
            drill = Drill(cloud, self._console, self._build / "drill.json", check)
            ask = self.agreed if cloud.api == "real" and not yes else lambda question: True
            return drill.whole(asked, lambda event: self._watch(cloud, event, check), ask)

    @contextmanager
    def _cloud_of_its_own(
        self, what: str, options: Options, **parameters: str
    ) -> Iterator[tuple[Cloud, Check]]:
        """Deployed, its simulator's clock just started; nothing is left of it afterwards."""
        if self._daemon.find():
            self._say(f"The cloud of `make up` is left alone: this {what} gets one of its own.")
        try:
            with ExitStack() as stack:
                with self._step("Starting the local AWS"):
                    cloud, servers = stack.enter_context(running(options))
                self._deploy(cloud, options, **parameters)
                servers.start_simulator()
                yield cloud, servers.check
        finally:
            self._say("The local cloud is down again, nothing of it is left.")

    def up(self, options: Options) -> int:
        self._say_notices(options)
        if cloud := self._daemon.find():
            self._say(f"The local cloud is up already: {describe(cloud)}.")
            self._say("`make invoke` starts a run on it; `make down` stops it.")
            return 0
        with self._step("Starting the local cloud"):
            cloud = self._daemon.start(options)
        try:
            self._deploy(cloud, options)
        except BaseException:
            self._daemon.stop()
            self._say("The local cloud is down again, nothing of it is left.")
            raise
        self._say(f"Up: {describe(cloud)}.")
        if cloud.fleet == story.FLEET:
            self._say(f"\n{story.BEFORE}\n")
            self._say("Next: make invoke, then what it says at its end.")
            return 0
        self._say("Next: make invoke EVENT=events/dry-run.json, make logs, make down.")
        return 0

    def invoke(self, event: str, real: bool, yes: bool) -> int:
        asked = load_event(event)
        cloud = self._cloud()
        if real and cloud.api != "real":
            raise Unusable(
                f"The cloud that is up uses {cloud.endpoint}, not the real Hetzner API. "
                "`make down`, then `make up REAL=1`."
            )
        refuse_unasked(cloud.api, asked, yes)
        try:
            return self.run_on(cloud, asked, yes)
        except Interrupted:
            self._say("The cloud is still up, and a run that has begun goes on in it.")
            raise

    def repair(self) -> int:
        cloud = self._cloud()
        if not cloud.fleet:
            raise Unusable(f"The cloud that is up uses {cloud.endpoint}, not the simulator.")
        done = story.repair(cloud.endpoint)
        for what in done:
            self._say(f"  {what}")
        if not done:
            self._say("Nothing here is in need of repair: that is for `make up FLEET=trouble`.")
        return 0

    def logs(self, server: str) -> int:
        cloud = self._cloud()
        found = outputs(cloud.aws)
        # The cloud was started a moment ago, and the stack is not deployed yet.
        tail = LogTail(cloud.aws, found["LogGroupName"], since=0) if found else None
        lines = list(readable(tail.all_lines() if tail else [], server))
        # Rich raises this when its output is closed, as in `make logs | head`.
        with suppress(SystemExit):
            for line in lines:
                self._console.print(line, soft_wrap=True)
        return 0

    def down(self) -> int:
        self._say("Down." if self._daemon.stop() else "No local cloud is up.")
        return 0

    def _cloud(self) -> Cloud:
        if cloud := self._daemon.find():
            return cloud
        ended = self._daemon.last_words()
        raise Unusable(
            f"{NOTHING_UP}\nThe last one ended by itself:\n{ended}" if ended else NOTHING_UP
        )

    def _deploy(self, cloud: Cloud, options: Options, **parameters: str) -> None:
        store_token(cloud.aws, options.token)
        with self._step("Deploying template.yaml with sam deploy"):
            # No schedule: only a person starts runs here.
            deploy(
                cloud.aws,
                Path(cloud.folder),
                {
                    **options.parameters,
                    **parameters,
                    "HetznerEndpoint": cloud.endpoint,
                    "ScheduleState": "DISABLED",
                },
            )

    def run_on(
        self, cloud: Cloud, event: dict[str, Any], yes: bool, check: Check = lambda: None
    ) -> int:
        # An earlier run's record must not be mistaken for this run's.
        for name in ("run.json", "run.html"):
            (self._build / name).unlink(missing_ok=True)
        if cloud.api == "real" and not event.get("dry_run"):
            self._say(f"First what it would do on {cloud.endpoint}:")
            plan = self._watch(cloud, {**event, "dry_run": True}, check)
            if plan.verdict() == "Failed":
                return 1
            self._say(
                f"If you have a stack named {STACK} on AWS: its snapshots count as this run's own, "
                "and are pruned by this run's policy. PARAMETERS=Owner=another spares them."
            )
            if not yes and not self.agreed(f"Do this on {cloud.endpoint}, for real?"):
                self._say("Nothing was done.")
                return 1
        return self._finish(self._watch(cloud, event, check), cloud)

    def _tell_story(self, cloud: Cloud, event: dict[str, Any], check: Check) -> int:
        """A night, the mail about it, its repair, its resume. The exit code is the resume's."""
        self._say(f"\n{story.BEFORE}\n")
        inbox = Inbox(cloud.aws)
        night = self._watch(cloud, event, check)
        code = self._finish(night, cloud, "night")
        if not (again := resuming(night)):
            return code
        for told in inbox.wait_for(1):
            self._lines("", *story.message(told, self._width()))
        self._lines(story.REPAIRING, *(f"  {what}" for what in story.repair(cloud.endpoint)))
        self._lines("Then StartRun is started with this event, which resumes the night:")
        self._say(f"  {again[0]}\n")
        code = self.run_on(cloud, json.loads(again[0]), False, check)
        if code == 0:
            self._say(story.HOW_IT_ENDS)
        return code

    def _finish(self, board: Board, cloud: Cloud, name: str = "run") -> int:
        """Writes the record and the page; 0 if the run is Completed."""
        verdict = write_record(board, self._build / f"{name}.json")
        self._write_page(board, cloud, name)
        path = self._build / name
        self._say(f"The page about it is {path}.html; for programs, {path}.json.")
        if verdict == "Completed":
            return 0
        code = "exit code 1" if name == "run" else "by itself that is exit code 1"
        self._say(f"The run ended {verdict}: {code}. What to do about it is above.")
        if cloud.fleet == story.FLEET and name == "run" and (again := resuming(board)):
            self._lines(*story.how_to_go_on(json.loads(again[0])))
        return 1

    def _lines(self, *lines: str) -> None:
        for line in lines:
            self._say(line)

    def _write_page(self, board: Board, cloud: Cloud, name: str) -> None:
        # Imported only here: matplotlib takes longer to load than most commands take.
        from local.common.page import page

        (self._build / f"{name}.html").write_text(page(board, 1 / cloud.wait_scale))

    def _watch(self, cloud: Cloud, event: dict[str, Any], check: Check) -> Board:
        found = outputs(cloud.aws)
        began = time.time()
        answer = start(cloud, found["StartRunFunction"], event)
        if all(execution["started"] for execution in answer["executions"]):
            self._say(f"Run {answer['run_id']} has started.")
        else:
            began = 0
            self._say(f"Run {answer['run_id']} was started before; this is what is known of it.")
        tail = LogTail(cloud.aws, found["LogGroupName"], began)
        for warning in answer.get("warnings", []):
            self._say(f"Warning: {warning}")
        show = Show(self._console, 1 / cloud.wait_scale)
        try:
            board = watch(cloud, answer, tail, show, check)
        except BaseException:
            if cloud.api != "simulator" and not event.get("dry_run"):
                self._say(
                    "What has begun at Hetzner goes on there. To take this run up again, use the "
                    f'event {{"run_id": "{answer["run_id"]}"}}.'
                )
            raise
        print_summary(self._console, board)
        return board

    def agreed(self, question: str) -> bool:
        self._console.print(f"\n{question} [y/N] ", end="")
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def _say(self, text: str) -> None:
        # What is indented is to be copied, or has its lines already.
        whole = text.startswith("  ") or not self._console.is_terminal
        self._console.print(text, soft_wrap=whole)

    def _width(self) -> int | None:
        return self._console.width if self._console.is_terminal else None

    def _say_notices(self, options: Options) -> None:
        for notice in options.notices:
            self._say(notice)

    @contextmanager
    def _step(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        self._console.print(f"{what} ... ", end="")
        try:
            yield
        except BaseException:
            self._console.print()
            raise
        self._console.print(f"{time.monotonic() - began:.1f} s")


def refuse_unasked(api: str, event: dict[str, Any], yes: bool) -> None:
    """Raises Unusable if the real API needs a confirmation and there is no terminal."""
    if api == "real" and not event.get("dry_run") and not yes and not sys.stdin.isatty():
        raise Unusable(
            "This would change servers' snapshots on the real Hetzner API, and there is no "
            "terminal to ask on. Say YES=1 if you mean it, or EVENT=events/dry-run.json."
        )


def describe(cloud: Cloud) -> str:
    scale = "" if cloud.wait_scale == 1 else f", waits last {cloud.wait_scale:.3g} of their time"
    return f"AWS at {cloud.aws.url}, Hetzner API at {cloud.endpoint}{scale}"
