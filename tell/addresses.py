"""Addresses in Apprise's notation. Each is a secret: who has it can write there.

Nothing here shows a piece of one, in no error, log or repr.
"""

import logging
import re
import warnings
from dataclasses import dataclass, field

import apprise
from apprise.manager_plugins import NotificationManager
from apprise.plugins import NotifyBase, url_to_dict

MOST_ADDRESSES = 20
# A service that has not answered by then has not got the message.
SERVICE_SECONDS = 20
NTFY = "ntfy.sh"
NOTATION = "https://appriseit.com/services/ has all of them"
SCHEME = re.compile(r"([a-z0-9]{2,20})://", re.IGNORECASE)

# They write addresses, or pieces of them, into their logs.
for name in ("apprise", "urllib3", "requests", "requests_oauthlib", "oauthlib", "MARKDOWN"):
    logging.getLogger(name).addHandler(logging.NullHandler())
    logging.getLogger(name).propagate = False

# All services now: Lambda gives a full CPU only while it starts a container. Some of the modules
# are about to leave Python, and say so.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    SERVICES = NotificationManager()  # type: ignore[no-untyped-call]
    SERVICES.load_modules()  # type: ignore[no-untyped-call]


class NoAddress(ValueError):
    """A line that is no address; the message says why and holds nothing of it."""


@dataclass(frozen=True, slots=True)
class Address:
    url: str = field(repr=False)
    where: str  # the service, and the host if that is known to be one: "Slack", "ntfy at ntfy.sh"
    service: NotifyBase = field(repr=False)


def asset() -> apprise.AppriseAsset:
    """Nothing is kept on disk, no picture is linked, and whoever redirects has not taken it."""
    return apprise.AppriseAsset(
        app_id="hetzner-snapshots",
        app_desc="hetzner-snapshots",
        app_url="",
        image_url_mask=None,
        image_url_logo=None,
        async_mode=False,
        # After a redirect the library reads a page instead of writing, and calls that sent.
        http_redirects=False,
        storage_mode="memory",
        service_timeout=SERVICE_SECONDS,
    )


def lines_of(text: str) -> list[str]:
    """What may be addresses, one a line, each once."""
    lines = (line.strip() for line in text.splitlines())
    return list(dict.fromkeys(line for line in lines if line))


def address_of(line: str) -> Address:
    """Raises NoAddress."""
    found = SCHEME.match(line)
    if not found:
        raise NoAddress(
            "it does not begin with a service as in slack:// or ntfy://, in Apprise's notation "
            f"({NOTATION})"
        )
    try:
        parts = url_to_dict(line)  # type: ignore[no-untyped-call]
    except Exception:
        parts = None
    scheme = str(parts["schema"]) if parts else found[1].lower()
    if scheme not in SERVICES:
        raise NoAddress(_unknown(scheme))
    kind = SERVICES[scheme]
    name = str(kind.service_name)
    if "{schema}://" in (kind.templates or ()):
        raise NoAddress(f"{name} shows messages on one machine only, here that of AWS")
    if not kind.enabled:
        raise NoAddress(f"for {name} Apprise needs software that the package does not have")
    try:
        service = apprise.Apprise.instantiate(line, asset=asset())
    except Exception:
        service = None
    if service is None:
        raise NoAddress(f"{name} needs more, or something else: see {kind.setup_url}")
    return Address(line, _where(service, name), service)


def _unknown(scheme: str) -> str:
    # Not told what it is: somebody's own line may begin with a secret.
    if scheme in ("http", "https"):
        return (
            "it is a web address of no service that Apprise knows; for a webhook that takes JSON "
            "write jsons:// in place of https://"
        )
    return f"what stands before :// is no service that Apprise knows ({NOTATION})"


def _where(service: NotifyBase, name: str) -> str:
    # Of many services the place of the host holds a token.
    if name == "ntfy":
        return f"ntfy at {service.host if getattr(service, 'mode', '') == 'private' else NTFY}"
    is_host = (service.template_tokens.get("host") or {}).get("required", False)
    host = getattr(service, "host", None)
    return f"{name} at {host}" if is_host and host else name
