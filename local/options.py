"""A command's options, read from the environment that make passes on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal
from urllib.parse import urlsplit

from handler.documents.policy import BadPolicy, parse_policy
from local.common.parameters import check, parse_parameters
from local.common.variables import Unusable, flag
from local.simulator.fleet import problem_of

REAL_ENDPOINT = "https://api.hetzner.cloud/v1"
TOKEN_VARIABLES = ("HCLOUD_TOKEN", "HERTZNER_API_KEY")
SIMULATED_TOKEN = "simulated-token"
# The simulator's clock runs as many times as fast, so that its hours pass in minutes.
SIMULATOR_WAIT_SCALE = 1 / 60
FLEET = "default"
# Parameters that mean nothing here, and why.
NOT_HERE = {
    "Schedule": "only you start runs here",
    "ScheduleTimezone": "only you start runs here",
    "ScheduleState": "only you start runs here",
    "DrillSchedule": "only you start drills here",
    "DrillScheduleState": "only you start drills here",
    "HetznerEndpoint": "HCLOUD_ENDPOINT= says which API the local cloud uses",
    "TokenPath": "the one token of the local cloud has its place",
    "NotificationEmail": "the local AWS sends no mail",
    "SavedQueries": "the local AWS has no Logs Insights",
    "Architecture": "the functions run on this machine's Python",
}

Api = Literal["simulator", "given", "real"]


@dataclass(frozen=True, slots=True)
class Options:
    api: Api
    token: str = field(repr=False)
    endpoint: str | None  # None: the simulator's, known once it runs
    wait_scale: float
    aws_port: int | None = None
    simulator_port: int | None = None
    notices: tuple[str, ...] = ()
    fleet: str = FLEET
    parameters: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Options":
        """Raises Unusable. A token is used only if REAL=1 or an address is given."""
        real = flag(environ, "REAL")
        endpoint = environ.get("HCLOUD_ENDPOINT", "").strip().rstrip("/")
        set_tokens = [name for name in TOKEN_VARIABLES if environ.get(name, "").strip()]
        notices: list[str] = []
        api: Api = "simulator"
        if endpoint:
            parts = urlsplit(endpoint)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise Unusable(f"HCLOUD_ENDPOINT={endpoint} is not an http or https address.")
            # The variable is hcloud's own and may be set already: with the real address
            # nothing starts without a confirmation.
            api = "real" if parts.hostname == urlsplit(REAL_ENDPOINT).hostname else "given"
        elif real:
            api, endpoint = "real", REAL_ENDPOINT
        if api == "simulator":
            token = environ.get("SIMULATOR_TOKEN", "").strip() or SIMULATED_TOKEN
            notices += [
                f"{name} is set and ignored: this is the simulator. "
                "(REAL=1 uses it on the real Hetzner API.)"
                for name in set_tokens
            ]
        elif not set_tokens:
            raise Unusable(f"No token for {endpoint}: set {' or '.join(TOKEN_VARIABLES)}.")
        else:
            token = environ[set_tokens[0]].strip()
            if any(environ[name].strip() != token for name in set_tokens):
                notices.append(f"{' and '.join(set_tokens)} differ: using {set_tokens[0]}.")
        return cls(
            api=api,
            token=token,
            endpoint=endpoint or None,
            wait_scale=_scale(environ, SIMULATOR_WAIT_SCALE if api == "simulator" else 1.0),
            aws_port=_port(environ, "AWS_PORT"),
            simulator_port=_port(environ, "SIMULATOR_PORT"),
            notices=tuple(notices),
            fleet=_fleet(environ, api),
            parameters=_parameters(environ),
        )


def event_source(environ: Mapping[str, str], otherwise: str = "events/all.json") -> str:
    """A file, or the JSON itself."""
    # An empty one may be a shell variable that is not set: it must not mean all servers.
    return environ.get("EVENT", otherwise)


def refuse_for_a_cloud_that_is_up(environ: Mapping[str, str]) -> None:
    """Raises Unusable for what only a cloud that is being started can heed."""
    for name in ("FLEET", "PARAMETERS"):
        if environ.get(name, "").strip():
            raise Unusable(
                f"{name}= is for the start of a cloud: `make down`, then `make up {name}=...`, "
                f"or `make run {name}=...`, which has a cloud of its own."
            )


def _fleet(environ: Mapping[str, str], api: Api) -> str:
    fleet = environ.get("FLEET", "").strip()
    if not fleet:
        return FLEET
    if problem := problem_of(fleet):
        raise Unusable(f"There is no FLEET={fleet}: {problem}.")
    if api != "simulator":
        raise Unusable(
            f"FLEET={fleet} is the simulator's, and this is another Hetzner API. Leave out FLEET, "
            "or REAL and HCLOUD_ENDPOINT."
        )
    return fleet


def _parameters(environ: Mapping[str, str]) -> dict[str, str]:
    values = parse_parameters(environ.get("PARAMETERS", ""))
    for name in values:
        if name in NOT_HERE:
            raise Unusable(f"PARAMETERS: {name} can only be deployed: {NOT_HERE[name]}.")
    check(values)
    # The template's pattern cannot count: StartRun would refuse the rest.
    try:
        parse_policy(values.get("Retention", "last1"))
    except BadPolicy as error:
        raise Unusable(f"PARAMETERS: Retention: {error}.") from None
    return values


def _scale(environ: Mapping[str, str], default: float) -> float:
    text = environ.get("WAIT_SCALE", "").strip()
    if not text:
        return default
    try:
        scale = float(Fraction(text))
    except (ValueError, ZeroDivisionError):
        scale = 0.0
    if not 0.0001 <= scale <= 10:
        raise Unusable(f"WAIT_SCALE={text} is not a number from 0.0001 to 10, such as 1/60.")
    return scale


def _port(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name, "").strip()
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise Unusable(f"{name}={text} is not a port number.")
    return int(text)
