"""A command's options, read from the environment that make passes on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal
from urllib.parse import urlsplit

from local.common.variables import Unusable, flag

REAL_ENDPOINT = "https://api.hetzner.cloud/v1"
TOKEN_VARIABLES = ("HCLOUD_TOKEN", "HERTZNER_API_KEY")
SIMULATED_TOKEN = "simulated-token"
# The simulator's clock runs as many times as fast, so that its hours pass in minutes.
SIMULATOR_WAIT_SCALE = 1 / 60

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
        )


def event_source(environ: Mapping[str, str]) -> str:
    """A file, or the JSON itself."""
    return environ.get("EVENT") or "events/all.json"


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
