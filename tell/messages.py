"""What the topic says, as people read it in a chat. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["info", "success", "warning", "failure"]

# What a person reads in a chat; the mail and the log have the rest.
MOST_CHARACTERS = 3000
CUT = "… (cut here; the log has all of it)"
VERDICTS: Mapping[str, Kind] = {
    "Completed": "success",
    "PartiallyFailed": "warning",
    "Failed": "failure",
}
STATES: Mapping[str, Kind] = {"OK": "success", "ALARM": "failure"}


@dataclass(frozen=True, slots=True)
class Message:
    title: str
    body: str
    kind: Kind = "warning"
    # Of the alarm that looks at the queue of dead letters.
    about_dead_letters: bool = False


def of_topic(sns: Mapping[str, Any], stack: str, dead_letters: str) -> Message:
    """A message of the topic: an alarm's, a run's or the watch's, or a rule's."""
    text = str(sns.get("Message") or "")
    if alarm := _alarm(text):
        return _of_alarm(alarm, stack, dead_letters)
    subject = str(sns.get("Subject") or "")
    verdict = re.search(r": (Completed|PartiallyFailed|Failed)\b", subject)
    kind = VERDICTS[verdict[1]] if verdict else "warning"
    return Message(subject or stack, _unquoted(text).strip(), kind)


def a_try(stack: str) -> Message:
    return Message(
        f"{stack}: a try",
        "What the nightly snapshots have to tell arrives here: runs that did not complete, alarms "
        "and what is overdue.",
        "info",
    )


def fitted(text: str, limit: int) -> str:
    """At most `limit` characters: the beginning, and the last paragraphs if they are short enough.

    The last ones say what to do and where to look.
    """
    if len(text) <= limit:
        return text
    if limit <= 2 * len(CUT):
        return text[: max(limit, 0)]
    left = limit - len(CUT) - 3  # the line's ends around it
    paragraphs = text.split("\n\n")
    end = ""
    while len(paragraphs) > 1 and len(paragraphs[-1]) + 2 + len(end) <= left // 2:
        end = f"\n\n{paragraphs.pop()}{end}"
    begin = "\n\n".join(paragraphs)[: left - len(end)]
    whole_lines = begin.rpartition("\n")[0]
    return f"{whole_lines or begin}\n{CUT}{end}"


def _alarm(text: str) -> dict[str, Any]:
    """CloudWatch's JSON; empty if it is none."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and "AlarmName" in found else {}


def _of_alarm(alarm: Mapping[str, Any], stack: str, dead_letters: str) -> Message:
    state, name = str(alarm.get("NewStateValue") or "?"), str(alarm["AlarmName"])
    over = "It is over. " if state == "OK" else ""
    paragraphs = [
        f"{over}{alarm.get('NewStateReason') or ''}".strip(),
        "" if over else str(alarm.get("AlarmDescription") or "").strip(),
        " ".join(str(alarm.get(key) or "") for key in ("StateChangeTime", "Region")).strip(),
    ]
    trigger = alarm.get("Trigger")
    dimensions = trigger.get("Dimensions") if isinstance(trigger, dict) else None
    queues = [
        each.get("value", each.get("Value"))
        for each in dimensions or ()
        if isinstance(each, dict) and each.get("name", each.get("Name")) == "QueueName"
    ]
    # CloudFormation's names begin with the stack's.
    title = f"{state}: {name}" if name.startswith(stack) else f"{stack}: {state}: {name}"
    body = "\n\n".join(paragraph for paragraph in paragraphs if paragraph)
    return Message(title, body, STATES.get(state, "warning"), dead_letters in queues)


def _unquoted(text: str) -> str:
    """EventBridge's rules make each line a JSON string."""
    lines = text.strip().splitlines()
    if not lines or not all(len(line) > 1 and line[0] == line[-1] == '"' for line in lines):
        return text
    return "\n".join(line[1:-1].strip() for line in lines)
