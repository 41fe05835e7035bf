"""What others have written is told in one line, with nothing in it that a terminal would obey."""

import json
from typing import Any

import pytest

from handler.documents.printable import printable, printable_lines
from handler.documents.request import EventRefused, parse_event
from local.simulator import Project, World
from tests.aws import Aws
from tests.chaos.bad_words import OBEYED


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sg5", "sg5"),
        ("Zürich 東京 🖥", "Zürich 東京 🖥"),
        ("a\nb\r\n\tc", "a\\nb\\r\\n\\tc"),
        ("\x1b[31mred\x07\x00\x7f", "\\x1b[31mred\\x07\\x00\\x7f"),
        ("\x9b2J\x85", "\\x9b2J\\x85"),
        ("\u202egnp.exe\u2066\u200f\ufeff", "\\u202egnp.exe\\u2066\\u200f\\ufeff"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\ud800", "\\ud800"),
        ("", ""),
    ],
)
def test_what_would_be_obeyed_is_written_as_its_escape(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert shown.isprintable()


def test_a_text_with_lines_keeps_them() -> None:
    assert printable_lines("a\n\x1b[2Jb\r\nc\n") == "a\n\\x1b[2Jb\\r\nc\n"


def test_two_names_that_differ_still_do() -> None:
    names = [f"web{words}" for words in ["", *OBEYED]]
    assert len({printable(name) for name in names}) == len(names)


@pytest.mark.parametrize("words", OBEYED)
def test_a_server_is_named_in_the_event_as_it_is_named_at_hetzner(
    aws: Aws, world: World, project: Project, words: str
) -> None:
    project.add_server("web").name = f"web{words}"
    project.add_server("other")
    night = aws.run({"servers": [f"web{words}"]})
    assert night.verdict() == "Completed"
    [image] = project.images.values()
    assert image.description.isprintable() and image.description.startswith(f"web{words}"[:3])
    told = json.dumps([night.results, night.executions], default=str, ensure_ascii=False)
    assert told.isprintable()


@pytest.mark.parametrize("event", [{"x\x9b2J": 1}, {"run_id": "\u202e"}, {"servers": "\x85"}])
def test_a_refused_event_is_quoted_in_one_line(event: dict[str, Any]) -> None:
    with pytest.raises(EventRefused) as refusal:
        parse_event(event)
    assert str(refusal.value).isprintable()
