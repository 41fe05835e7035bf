"""Hetzner's API with our names and errors; no other module imports hcloud.

Every method sends each of its requests once. Nothing here waits or tries again: what to do about
an error is decided in the states.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import requests
from hcloud import APIException, Client

from handler.documents.document import Run
from handler.documents.errors import (
    HetznerError,
    IncompleteListing,
    Locked,
    NameTaken,
    NoStock,
    NotFound,
    OutcomeUnknown,
    Protected,
    QuotaReached,
    RateLimited,
    Refused,
    TransientError,
    Unauthorized,
)
from handler.documents.job import ServerItem
from handler.documents.labels import (
    LABEL_MANAGED_BY,
    LABEL_RUN_ID,
    LABEL_SERVER_ID,
    LABEL_SERVER_NAME,
    label_value,
)
from handler.documents.resources import Action, Price, Server, Snapshot
from handler.hetzner.answers import (
    action_in,
    locked_in,
    server_in,
    snapshot_in,
    started_in,
    well_formed,
)
from handler.hetzner.headers import Headers
from handler.hetzner.listing import complete
from handler.hetzner.redaction import Redaction

TIMEOUT_SECONDS = (5.0, 15.0)  # connect, read
PER_PAGE = 50  # Hetzner's maximum
# What is created while pages are read comes before them, so that nothing slips to a page already
# read, unless more is deleted than created: then the total moves, see listing.py.
NEWEST_FIRST = "id:desc"
NO_CONTENT = 204

BY_CODE: dict[str, type[HetznerError]] = {
    "locked": Locked,
    "protected": Protected,
    "not_found": NotFound,
    "resource_limit_exceeded": QuotaReached,
    "unauthorized": Unauthorized,
    "token_readonly": Unauthorized,
    "forbidden": Unauthorized,
    "rate_limit_exceeded": RateLimited,
    "conflict": TransientError,
    "maintenance": TransientError,
    "resource_unavailable": TransientError,
    "deprecated_api_endpoint": Refused,
    "invalid_input": Refused,
    "json_error": Refused,
    "method_not_allowed": Refused,
    "uniqueness_error": Refused,
    "unsupported_error": Refused,
    "resource_locked": Refused,  # only Hetzner's support ends this one
    # Any other (server_error, unavailable, timeout, one that is new) is OutcomeUnknown.
}
# What means something else there, by method and path.
BY_REQUEST: dict[tuple[str, str], dict[str, type[HetznerError]]] = {
    ("POST", "/servers"): {
        "resource_unavailable": NoStock,
        "placement_error": NoStock,
        "uniqueness_error": NameTaken,
    },
    ("POST", "/firewalls"): {"uniqueness_error": NameTaken},
}


def client_for(token: str, endpoint: str) -> Client:
    """An hcloud client that has a timeout and never retries by itself."""
    client = Client(
        token=token,
        api_endpoint=endpoint,
        application_name="hetzner-snapshots",
        timeout=TIMEOUT_SECONDS,
    )
    # hcloud retries a timed-out request, even a POST, with pauses. There is no public setting
    # against that; tests hold that one call is one request.
    client._client._retry_max_retries = 0
    # With an `auth` of its own, requests never puts what a .netrc holds in the token's place.
    client._client._session.auth = lambda request: request
    return client


class Hetzner(Headers):
    """One project's API during one invocation.

    `connect` makes the client when it is first needed, and raises TransientError or Unauthorized
    if the token cannot be read. `token_name` is the token's parameter, for messages. When
    `out_of_time` returns True, no request is sent and TransientError is raised. `reconnect` makes a
    client with the token as it is stored now, which may have changed. `detail` gets a line for each
    answer. With less than `floor_percent` of the requests per hour left, RateLimited is raised.
    """

    def __init__(
        self,
        connect: Callable[[], Client],
        token_name: str,
        out_of_time: Callable[[], bool] = lambda: False,
        reconnect: Callable[[], Client] | None = None,
        detail: Callable[[str], None] = lambda _: None,
        floor_percent: int = 0,
    ) -> None:
        super().__init__()
        self._connect = connect
        self._client: Client | None = None
        self._token_name = token_name
        self._out_of_time = out_of_time
        self._reconnect = reconnect or connect
        self._detail = detail
        self._floor_percent = floor_percent
        self._redaction = Redaction()
        self._status = 0  # of the last answer
        self._headers: Mapping[str, str] = {}

    def servers(self, label_selector: str = "") -> list[Server]:
        """All servers, or all that the selector matches, by id. Raises IncompleteListing."""
        selector = {"label_selector": label_selector} if label_selector else {}
        params = {"sort": NEWEST_FIRST} | selector
        with well_formed():
            servers = [server_in(item) for item in self.listed("/servers", "servers", params)]
        # Batches are cut by id: a server out of order would be left out.
        return sorted(servers, key=lambda server: server.id)

    def server(self, server_id: int) -> Server:
        with well_formed():
            return server_in(self.request("GET", f"/servers/{server_id}")["server"])

    def snapshots(self, owner: str, server_id: int | None = None) -> list[Snapshot]:
        """All snapshots with the owner's label (and the server's), by id.

        Raises IncompleteListing.
        """
        selector = f"{LABEL_MANAGED_BY}=={owner}"
        if server_id is not None:
            selector += f",{LABEL_SERVER_ID}=={server_id}"
        params = {"type": "snapshot", "label_selector": selector, "sort": NEWEST_FIRST}
        with well_formed():
            snapshots = [snapshot_in(item) for item in self.listed("/images", "images", params)]
        # What is deleted is chosen from this list: it must not hold more than was asked for.
        if any(
            s.labels.get(LABEL_MANAGED_BY) != owner or server_id not in (None, s.server_id)
            for s in snapshots
        ):
            raise IncompleteListing("the listing of images holds others than those asked for")
        return sorted(snapshots, key=lambda snapshot: snapshot.id)

    def is_locked(self, server_id: int) -> bool | None:
        """Whether an action holds the server; None if Hetzner does not say."""
        with well_formed():
            return locked_in(self.request("GET", f"/servers/{server_id}")["server"])

    def snapshot(self, image_id: int) -> Snapshot:
        with well_formed():
            return snapshot_in(self.request("GET", f"/images/{image_id}")["image"])

    def price(self) -> Price:
        """What Hetzner charges for snapshots now, net."""
        with well_formed():
            pricing = self.request("GET", "/pricing")["pricing"]
            net = pricing["image"]["price_per_gb_month"]["net"]
            return Price(Decimal(net), str(pricing["currency"]))

    def recent_actions(self, server_id: int) -> list[Action]:
        """The server's 50 newest actions, newest first, the running ones among them."""
        params = {"sort": "started:desc", "per_page": PER_PAGE}
        with well_formed():
            answer = self.request("GET", f"/servers/{server_id}/actions", params=params)
            return [action_in(item) for item in answer["actions"]]

    def action(self, action_id: int) -> Action:
        with well_formed():
            return action_in(self.request("GET", f"/actions/{action_id}")["action"])

    def create_snapshot(
        self, server: ServerItem, run: Run, handed_on: Mapping[str, str] | None = None
    ) -> tuple[int, int | None]:
        """Starts a snapshot with our labels; gives its image id and, if it is told, action id.

        After OutcomeUnknown it may have started: look before the next try.
        """
        body = {
            "type": "snapshot",
            "description": f"{server.name}-snapshot {run.id}",
            "labels": {
                LABEL_MANAGED_BY: run.owner,
                LABEL_RUN_ID: run.id,
                LABEL_SERVER_ID: str(server.id),
                LABEL_SERVER_NAME: label_value(server.name),
                **(handed_on or {}),
            },
        }
        path = f"/servers/{server.id}/actions/create_image"
        with well_formed():
            return started_in(self.request("POST", path, json=body))

    def delete_snapshot(self, image_id: int) -> None:
        self.request("DELETE", f"/images/{image_id}")
        if self._status != NO_CONTENT:
            raise OutcomeUnknown(f"a delete that was answered with HTTP {self._status}")

    def listed(self, path: str, key: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        """All entries of a listing. Raises IncompleteListing."""

        def page_of(page: int) -> dict[str, Any]:
            asked = {**params, "page": page, "per_page": PER_PAGE}
            return self.request("GET", path, params=asked)

        return complete(key, page_of)

    def request(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        """The answer to one request, without secrets. Raises HetznerError."""
        answer = self._ask(method, path, **arguments)
        if isinstance(answer, HetznerError):
            answer.of_actions = _is_of_actions(path)
            # Raised outside of the except block: the error handled there may quote the token.
            raise answer
        return answer

    def _ask(self, method: str, path: str, **arguments: Any) -> dict[str, Any] | HetznerError:
        if self._out_of_time():
            return TransientError(f"no time left for {method} {path}")
        if self.has_less_than(self._floor_percent):
            return RateLimited(f"only {self.requests_left} requests left in this hour")
        # One token for all that one invocation sees: with another one in the middle, which may be
        # another project's, what was seen before would be no evidence for what comes after it.
        client = self._client = self._client or self._connect()
        try:
            # A redirect would send the token to another address.
            answer: dict[str, Any] = client.request(
                method, path, hooks={"response": [self._keep, self._note]},
                allow_redirects=False, **arguments,
            )  # fmt: skip
        except APIException as error:
            if error.code == "unauthorized" and (now := self._reconnect()) is not client:
                self._redaction.add(now._client._token)
                return TransientError(f"the token in {self._token_name} has been replaced")
            return self._in_our_words(error, method, path)
        except requests.RequestException as error:
            self._detail(f"{method} {path}: {type(error).__name__}")
            return OutcomeUnknown(f"no answer from Hetzner: {type(error).__name__}")
        except (KeyError, TypeError, AttributeError) as error:
            # An error object without code or message, or no object at all.
            said = self._redaction.text(repr(error))
            return OutcomeUnknown(f"an answer that is not Hetzner's: {said}")
        if self._status >= requests.codes.multiple_choices:
            return OutcomeUnknown(f"HTTP {self._status}", "no error object")
        self.heed(self._headers, _is_of_actions(path))
        return self._redaction.values(answer)  # type: ignore[no-any-return]

    def _in_our_words(self, error: APIException, method: str, path: str) -> HetznerError:
        message, support = self._redaction.text(str(error.message)), error.correlation_id
        support = self._redaction.text(support) if support else None
        if isinstance(error.code, int):  # no JSON error: a proxy or gateway spoke, not the API
            return OutcomeUnknown(f"HTTP {error.code}", "no error object", support)
        self.heed(self._headers, _is_of_actions(path))
        code = self._redaction.text(str(error.code))
        here = BY_CODE | BY_REQUEST.get((method, path), {})
        kind = here.get(code, OutcomeUnknown)
        said = f"the token in {self._token_name}: " if kind is Unauthorized else ""
        return kind(f"{said}{message}", code, support)

    def _keep(self, response: requests.Response, *_: Any, **__: Any) -> None:
        self._status, self._headers = response.status_code, response.headers
        sent = response.request.headers.get("Authorization", "")
        self._redaction.add(sent.removeprefix("Bearer "))

    def _note(self, response: requests.Response, *_: Any, **__: Any) -> None:
        asked, took_s = response.request, response.elapsed.total_seconds()
        support = response.headers.get("X-Correlation-Id", "no correlation id")
        support = self._redaction.text(support)
        self._detail(
            f"{asked.method} {asked.path_url}: {response.status_code} in {took_s:.2f} s ({support})"
        )


def _is_of_actions(path: str) -> bool:
    return "actions" in path.split("/")
