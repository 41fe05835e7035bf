"""The API as a Flask application: tokens, faults, and the headers of every answer."""

import secrets
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, g, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.http import http_date

from local.simulator import (
    actions,
    catalog_api,
    firewall_api,
    images,
    server_actions,
    server_create,
    servers,
)
from local.simulator.budget import Budget
from local.simulator.errors import ApiError
from local.simulator.faults import DROPPED, Call
from local.simulator.project import Project
from local.simulator.world import Access, RequestRecord, World

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PARTS = (servers, server_create, server_actions, actions, images, firewall_api, catalog_api)


WORLD = "simulator.world"  # in a request's environment


class Api:
    """One world's API, as WSGI; with `raises` its own errors are raised, not a 500."""

    def __init__(self, world: World, *, raises: bool = False) -> None:
        self.world, self._routes = world, _routes(raises)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        return self._routes({**environ, WORLD: self.world}, start_response)


class _Routes(Flask):
    """Carries out one request at a time, after the world was brought up to the present."""

    def dispatch_request(self) -> ResponseReturnValue:
        with _world().frozen():
            return super().dispatch_request()


# The routes of all worlds: random nights make a world each, and werkzeug takes long to make routes.
@cache
def _routes(raises: bool) -> Flask:
    app = _Routes("simulator", static_folder=None)
    # Hetzner answers OPTIONS with 405 on the endpoints used here.
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.config["PROPAGATE_EXCEPTIONS"] = raises
    for module in PARTS:
        app.register_blueprint(module.blueprint, url_prefix="/v1")

    @app.get("/_sim/state")
    def state() -> dict[str, Any]:
        return _world().snapshot()

    @app.post("/_sim/repair")
    def repair() -> dict[str, Any]:
        return {"repaired": _world().repair()}

    @app.before_request
    def receive() -> Response | None:
        world = _world()
        if request.path.startswith("/_sim/"):
            return None
        access = world.access(_token())
        path = request.path.removeprefix("/v1")
        project = access.project if access else None
        name = project.name if project else None
        g.project = project
        g.record = RequestRecord(
            method=request.method,
            path=path,
            query=request.args.to_dict(flat=False),
            project=name,
            at=world.clock.now(),
            correlation_id=secrets.token_hex(8),
        )
        world.requests.append(g.record)
        hits = world.faults.pick(request.method, path, name)
        for fault in hits:
            if fault.when == "before":
                answer = fault.effect(Call(world, project, _request(), None))
                if answer is not None:
                    return answer
        # Only a request that gets this far can go wrong afterwards.
        g.faults_after = [fault for fault in hits if fault.when == "after"]
        _admit(world, access, _token())
        return None

    @app.after_request
    def answer(response: Response) -> Response:
        world = _world()
        if "Date" not in response.headers:
            response.headers["Date"] = http_date(world.clock.now())
        record: RequestRecord | None = g.get("record")
        if record is None:
            return response
        for fault in g.get("faults_after", []):
            changed = fault.effect(Call(world, g.project, _request(), response))
            if changed is not None and changed is not response and "Date" not in changed.headers:
                changed.headers["Date"] = http_date(world.clock.now())
            response = changed or response
        if response.status_code != 429:
            response.headers["X-Correlation-Id"] = record.correlation_id
        with world.lock:
            budget = _budget(world, g.project, _token())
            response.headers.update(budget.headers())
            for name in world.without_headers:
                response.headers.pop(name, None)
        record.status = None if response.status_code == DROPPED else response.status_code
        return response

    @app.errorhandler(ApiError)
    def api_error(error: ApiError) -> ResponseReturnValue:
        return jsonify(error.body), error.status

    @app.errorhandler(NotFound)
    def no_such_path(_: NotFound) -> ResponseReturnValue:
        return api_error(ApiError("not_found", f"path {request.path} not found"))

    @app.errorhandler(MethodNotAllowed)
    def no_such_method(_: MethodNotAllowed) -> ResponseReturnValue:
        message = f"method {request.method} not allowed for {request.path}"
        return api_error(ApiError("method_not_allowed", message))

    return app


def _world() -> World:
    world: World = request.environ[WORLD]
    return world


def _token() -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme == "Bearer" else ""


def _budget(world: World, project: Project | None, token: str) -> Budget:
    """What the request is counted on."""
    if project is None:
        return world.anonymous_budget
    of_actions = "actions" in request.path.split("/")
    return project.budgets.of(token, of_actions=of_actions, per_token=world.budget_per_token)


def _admit(world: World, access: Access | None, token: str) -> None:
    with world.lock:
        budget = _budget(world, access.project if access else None, token)
        if not budget.take():
            # Hetzner quotes the beginning of the token since 2026.
            said = f"requests per hour for token '{token[:32]}...' reached."
            raise ApiError("rate_limit_exceeded", f"Limit of '{budget.limit}' {said}")
    if access is None:
        raise ApiError("unauthorized", "the token you have provided is invalid")
    if access.read_only and request.method != "GET":
        raise ApiError("token_readonly", "the token is only allowed to perform GET requests")


def _request() -> Any:
    # Effects may keep the request; the proxy would be empty by then.
    return request._get_current_object()  # type: ignore[attr-defined]
