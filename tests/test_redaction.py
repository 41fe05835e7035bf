"""Hetzner's texts may quote a token: not 8 characters of it get past handler/hetzner/api.py."""

import json
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Response, g
from hypothesis import given
from hypothesis import strategies as st

from deploy.give_token import may_write, seen_with
from handler.documents.errors import HetznerError, RateLimited, TransientError
from handler.documents.job import ServerItem
from handler.hetzner.api import Hetzner, client_for
from handler.hetzner.redaction import Redaction, redacted
from local.common.variables import Unusable
from local.simulator import Fault, Project, Simulator, World, faults
from tests.aws import Aws
from tests.conftest import TOKEN
from tests.documents import RUN
from tests.leaks import piece_of

BEGINNING = TOKEN[:32]
OTHER = "Zz9" * 12  # nobody's token; it looks like one


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def hetzner(project: Project, simulator: Simulator, said: list[str]) -> Iterator[Hetzner]:
    client = client_for(TOKEN, simulator.url)
    yield Hetzner(lambda: client, "/tokens/default", detail=said.append)
    client._client._session.close()


def everything(error: BaseException) -> str:
    shown = ["".join(traceback.format_exception(error)), repr(error), repr(vars(error))]
    return "".join([*shown, repr(error.__context__), repr(error.__cause__)])


def answer(status: int, body: Any, headers: dict[str, str] | None = None) -> faults.Effect:
    text = json.dumps(body)
    return lambda call: Response(text, status, headers, content_type="application/json")


def error(code: Any, message: Any, details: Any = None) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "details": details}}


ERRORS = [
    answer(429, error("rate_limit_exceeded", f"Limit of '3600' for token '{BEGINNING}...'")),
    answer(429, error("rate_limit_exceeded", f"Limit of '3600' for token '{OTHER[:32]}...'")),
    answer(401, error("unauthorized", f"the token ...{TOKEN[-9:]} is invalid")),
    answer(422, error("invalid_input", "no", {"fields": [{"name": TOKEN, "messages": [TOKEN]}]})),
    answer(500, error(f"code-{TOKEN[10:30]}", "no")),
    answer(500, error([TOKEN], "no")),
    answer(500, error({"a": TOKEN}, "no")),
    answer(500, error("server_error", {"said": TOKEN})),
    answer(500, error("server_error", "x" * 480 + TOKEN)),
    answer(500, TOKEN),
    answer(200, {"servers": [{"id": TOKEN}], "meta": {}}),
    answer(200, {"servers": [{"id": 1, "name": "a", "created": TOKEN}], "meta": {}}),
    lambda call: Response(f"<p>{TOKEN}</p>", f"502 {BEGINNING}", content_type="text/html"),
]


@pytest.mark.parametrize("effect", ERRORS)
@pytest.mark.parametrize("correlation_id", [None, TOKEN, OTHER])
def test_no_error_quotes_a_token(
    hetzner: Hetzner, world: World, project: Project, said: list[str], effect: Any,
    correlation_id: str | None,
) -> None:  # fmt: skip
    if correlation_id:
        world.faults.add(
            Fault(faults.hook(lambda *_: setattr(g.record, "correlation_id", correlation_id)))
        )
    world.faults.add(Fault(effect, times=None))
    with pytest.raises(HetznerError) as caught:
        hetzner.servers()
    told = everything(caught.value) + "".join(said)
    assert not piece_of(TOKEN, told)
    assert not piece_of(OTHER, told)


def test_the_simulator_quotes_the_token_as_hetzner_does(hetzner: Hetzner, project: Project) -> None:
    project.add_server("sg5")
    project.rate_limit = 0
    with pytest.raises(RateLimited) as caught:
        hetzner.servers()
    assert str(caught.value) == (
        "Limit of '0' requests per hour for token '[token]...' reached. (rate_limit_exceeded)"
    )
    assert not piece_of(TOKEN, everything(caught.value))


def test_nothing_that_hetzner_gives_quotes_the_token(
    hetzner: Hetzner, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    project.add_snapshot(server, description=f"made with {BEGINNING}")
    action = project.lock(server, command=f"rebuild {TOKEN[5:25]}")
    project.next_action_fails(server, message=f"no token {BEGINNING} {OTHER}", after_seconds=0)
    project.create_image(server, description=TOKEN)
    world.settle()
    with pytest.raises(HetznerError):
        hetzner.create_snapshot(ServerItem(server.id, "sg5"), RUN)
    answers = [
        *hetzner.recent_actions(server.id),
        hetzner.action(action.id),
        *(hetzner.snapshot(id_) for id_ in project.images),
    ]
    assert not piece_of(TOKEN, repr(answers)) and not piece_of(OTHER, repr(answers))
    assert "[token]" in repr(answers)


def test_the_tokens_before_and_after_a_change_are_both_known(
    simulator: Simulator, project: Project, world: World
) -> None:
    before, after = client_for("B4" * 32, simulator.url), client_for(TOKEN, simulator.url)
    clients = iter([before, after])
    hetzner = Hetzner(lambda: next(clients), "/tokens/default", reconnect=lambda: after)
    with pytest.raises(TransientError, match="has been replaced"):
        hetzner.servers()
    quoted = f"not {'B4' * 5} but {TOKEN[:10]}"
    world.faults.add(Fault(faults.status(500, "server_error", quoted)))
    with pytest.raises(HetznerError, match=r"not \[token\] but \[token\]"):
        hetzner.servers()
    for client in (before, after):
        client._client._session.close()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"for token '{BEGINNING}...' reached", "for token '[token]...' reached"),
        (f"..{TOKEN[20:28]}..", "..[token].."),
        (f"..{TOKEN[20:27]}..", f"..{TOKEN[20:27]}.."),
        (f"{TOKEN[:9]}{TOKEN[30:40]}", "[token]"),
        (f"a {OTHER} b", "a [token] b"),
        ("f21b9dc9d1535310", "f21b9dc9d1535310"),
        ("f21b9dc9d1535310f21b9dc9d1535310", "f21b9dc9d1535310f21b9dc9d1535310"),
        ("F21b9dc9d1535310f21b9dc9d1535310", "[token]"),
        ("snapshot 90001 of 20261121T020000Z", "snapshot 90001 of 20261121T020000Z"),
        ("internationalization-of-everything", "internationalization-of-everything"),
        # Of a token that nobody knows any more too little is quoted to be known by its looks.
        ("for token 'Zz9Zz9Zz...' reached", "for token '[token]...' reached"),
        ('the token "Zz9Zz9Zz9Zz9Zz9" is', 'the token "[token]" is'),
        ("Token: `abcdefgh`", "Token: `[token]`"),
        ("token='Zz9Zz9Zz'", "token='[token]'"),
        ("Authorization: Bearer abcdefgh12 no", "Authorization: Bearer [token] no"),
        ("token 'Zz9Zz9Z' is short", "token 'Zz9Zz9Z' is short"),
        ("the token provided is not valid", "the token provided is not valid"),
        ("the token's permission is 'readonly'", "the token's permission is 'readonly'"),
        ("server 'webserver01' and 'database2'", "server 'webserver01' and 'database2'"),
        ("server 'token-broker1' is locked", "server 'token-broker1' is locked"),
        ("", ""),
    ],
)
def test_a_token_is_known_by_its_value_and_by_its_looks(text: str, shown: str) -> None:
    assert Redaction([TOKEN]).text(text) == shown


@given(
    token=st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=8, max_size=70),
    around=st.tuples(st.text(max_size=30), st.text(max_size=30)),
    at=st.integers(0, 62),
)
def test_a_piece_of_a_token_of_any_characters_is_never_shown(
    token: str, around: tuple[str, str], at: int
) -> None:
    redaction = Redaction([token])
    piece = token[min(at, len(token) - 8) :][:8]
    shown = redaction.values([around[0] + piece + around[1]])[0]
    assert "[token]" in shown and not piece_of(token, shown.replace("[token]", "\n"))


def test_what_people_have_named_is_only_searched_for_the_token_itself() -> None:
    labels = {"build": OTHER, "key": f"x{TOKEN[:12]}", TOKEN: "y"}
    shown = Redaction([TOKEN]).values({"labels": [labels, 7, None, True, 1.5]})
    assert shown == {
        "labels": [{"build": OTHER, "key": "x[token]", "[token]": "y"}, 7, None, True, 1.5]
    }
    assert redacted(OTHER) == "[token]"


def test_a_night_of_429_tells_nothing_of_the_token(
    aws: Aws, world: World, project: Project
) -> None:
    project.add_server("sg5")
    project.rate_limit = 2
    night = aws.run({})
    told = json.dumps([aws.logs, night.executions, night.results], default=str)
    told += json.dumps([[i.event, i.output] for i in aws.invocations], default=str)
    assert "requests per hour for token '[token]...' reached" in told
    assert not piece_of(TOKEN, told)


def test_trying_a_token_does_not_show_it(project: Project, simulator: Simulator) -> None:
    client = client_for(TOKEN, simulator.url)
    project.rate_limit = 0
    assert may_write(client, TOKEN) == (
        "Hetzner said Limit of '0' requests per hour for token '[token]...' reached. "
        "(rate_limit_exceeded)"
    )
    with pytest.raises(Unusable, match=r"for token '\[token\]...' reached") as caught:
        seen_with(client, TOKEN)
    assert not piece_of(TOKEN, str(caught.value))


def test_what_a_call_asked_is_not_hidden(hetzner: Hetzner, said: list[str]) -> None:
    hetzner.servers()
    assert said[0].startswith("GET /v1/servers?sort=id%3Adesc&page=1&per_page=50: 200 in ")
