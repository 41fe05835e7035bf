"""Whether what people are told of restores is true: results, verdicts, prices, and proofs."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_UP, Decimal
from math import ceil
from typing import Any

from local.virtual.cloud import Execution, Invocation
from tests.chaos.copies import Copied, Day, price_of

HOUR = timedelta(hours=1)
CENT = Decimal("0.01")
SLACK_S = 60  # between a request and what comes of it
GOOD_ENDS = ("proven", "restored", "planned", "removed")
STAYS = ("still there", "was left")


@dataclass(frozen=True)
class Told:
    """A result as it was told, and the copy that is its own, if one was made."""

    execution: Execution
    by: Invocation
    at: datetime
    result: dict[str, Any]
    copy: Copied | None

    @property
    def keep(self) -> bool:
        return bool(self.execution.input["run"]["keep"])


def wrongly_told_of_restores(day: Day) -> Iterator[str]:
    for execution in day.cloud.restores.values():
        yield from _verdict(day, execution)
        yield from _once(day, execution)
    for told in _all_told(day):
        for wrong in _of_result(day, told):
            yield f"{told.execution.name}: {wrong}: {told.result}"


def _summaries(day: Day, execution: Execution) -> list[Invocation]:
    return [i for i in day.cloud.invocations
            if i.execution is execution and i.function == "SummariseRestore"]  # fmt: skip


def _all_told(day: Day) -> Iterator[Told]:
    for execution in day.cloud.restores.values():
        heard = [i for i in _summaries(day, execution) if i.heard]
        if not heard:
            continue
        at, project = day.began_at(heard[-1].started), execution.input["run"]["project"]
        for result in heard[-1].output.get("results") or []:
            name = result.get("name")
            made = [c for c in day.copies.values() if (c.project, c.name) == (project, name)]
            yield Told(execution, heard[-1], at, result, made[-1] if made else None)


def _verdict(day: Day, execution: Execution) -> Iterator[str]:
    heard = [i for i in _summaries(day, execution) if i.heard]
    if execution.status == "SUCCEEDED" and not heard:
        yield f"{execution.name} is green, and nothing was told"
    for each in heard[-1:]:
        good = [r["status"] in GOOD_ENDS for r in each.output.get("results") or []]
        planned = not good and each.output["verdict"] == "Completed"
        wanted = "Completed" if planned or (good and all(good)) else "Failed"
        if good and any(good) and not all(good):
            wanted = "PartiallyFailed"
        if each.output["verdict"] != wanted:
            yield f"{execution.name} is {each.output['verdict']}, not {wanted}: {good}"
        status = "SUCCEEDED" if wanted == "Completed" else "FAILED"
        if execution.status not in (status, "ABORTED"):
            yield f"{execution.name} is {execution.status}, and {wanted}"


def _once(day: Day, execution: Execution) -> Iterator[str]:
    """What is to be told is sent, once; twice only where an answer was lost."""
    summaries = _summaries(day, execution)
    sent = [message for i in summaries for message in i.messages]
    if any(i.fate or not i.heard for i in summaries):
        return
    if len(sent) > 1:
        yield f"{execution.name}: sent {len(sent)} times"
    for each in summaries:
        found = each.output.get("results") or []
        swept = execution.input["run"]["sweep"] and found
        is_news = swept or any(r.get("problem") for r in found)
        if not sent and (each.output["verdict"] != "Completed" or is_news):
            yield f"{execution.name}: nobody was told: {each.output['summary']}"
        if any(each.output["summary"] not in message["Message"] for message in sent):
            yield f"{execution.name}: the message has not the summary {each.output['summary']}"


def _of_result(day: Day, told: Told) -> Iterator[str]:
    result, reason = told.result, told.result.get("reason", "")
    if result["status"] == "proven" and result.get("image_id") not in day.copies.greeted:
        yield "told to be proven, and has not greeted"
    if result["status"] not in ("proven", "planned") and not reason:
        yield "an end without a reason"
    yield from _of_removal(day, told, reason)
    yield from _of_price(day, told)
    if told.copy and result["status"] == "proven":
        yield from _of_seconds(day, told)


def _of_removal(day: Day, told: Told, reason: str) -> Iterator[str]:
    """What is told to be gone is, and what is there is told."""
    copy, result = told.copy, told.result
    if copy is None:
        return
    said = f"{reason} {result.get('problem', '')}"
    is_there = copy.gone is None or copy.gone > told.at
    if result["status"] == "planned":
        yield "told as planned, and was made"
    elif told.keep:
        if is_there and result.get("copy_id") != copy.id and "If there is a server" not in said:
            yield "a server was made and is not told"
    elif is_there and copy.id not in day.person.own:
        if not any(text in said for text in STAYS):
            yield "its copy is there, and that is not told"
        is_called_gone = f", removed, {result.get('cost')}" in told.by.output["summary"]
        if is_called_gone or result["status"] == "removed":
            yield "told as removed, and it is there"
    elif "is still there" in said and copy.gone and copy.gone < told.at - HOUR:
        yield f"told to be still there, and is gone since {copy.gone}"


def _of_price(day: Day, told: Told) -> Iterator[str]:
    result, copy = told.result, told.copy
    type_, location = result.get("server_type"), result.get("location")
    if not type_:
        return
    rescaled = copy is not None and copy.id in day.person.rescaled
    # Its create had no answer, and a person deleted it before a look: another type was tried.
    unseen = "of the create that had no answer" in result.get("reason", "")
    if copy and not (rescaled or unseen) and (type_, location) != (copy.server_type, copy.location):
        yield f"it was made as {copy.server_type} in {copy.location}"
    per_hour = sum(price_of(type_, location or ""), Decimal())
    if (price := result.get("price_per_hour")) and Decimal(price.split()[0]) != per_hour:
        yield f"it costs {per_hour} per hour"
    wrong_clock = any("clock" in trouble for trouble in day.troubles)
    if not result.get("cost") or wrong_clock or copy is None:
        return
    cost = Decimal(result["cost"].split()[0])
    most = max(told.at, copy.gone or told.at)
    # What stays has cost so much when its own restore ended, which may be long before the summary.
    last = min(copy.gone, told.at) if copy.gone else copy.created
    least = _cost(per_hour, last - copy.created - timedelta(minutes=2))
    if not least <= cost <= _cost(per_hour, most - copy.created):
        yield f"it cost {least} to {_cost(per_hour, most - copy.created)}"


def _cost(per_hour: Decimal, for_: timedelta) -> Decimal:
    return (per_hour * max(1, ceil(for_ / HOUR))).quantize(CENT, ROUND_UP)


def _of_seconds(day: Day, told: Told) -> Iterator[str]:
    """From the start of the copy to its greeting; sooner where a start was not heard of."""
    assert told.copy
    starts = [d.at for d in day.world.deeds if d.what == "on" and d.server_id == told.copy.id]
    heard = [at for at, id_, _ in day.copies.greetings if id_ == told.copy.id]
    if not starts or not heard:
        return
    seconds = told.result.get("seconds")
    most = (heard[-1] - starts[0]).total_seconds() + SLACK_S
    least = 0.0 if day.troubles else (heard[0] - starts[0]).total_seconds() - SLACK_S
    wrong_clock = any("clock" in trouble for trouble in day.troubles)
    if not wrong_clock and (seconds is None or not least <= seconds <= most):
        yield f"it greeted {least + SLACK_S:.0f} to {most - SLACK_S:.0f} s after its start"
