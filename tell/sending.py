"""One message to one address, with an end: sent, or why not."""

import html
import re
import warnings
from typing import Any

import apprise
from apprise import AppriseResultStatus, NotifyFormat, NotifyType

from tell.addresses import SERVICE_SECONDS, Address, asset
from tell.messages import MOST_CHARACTERS, Message, fitted

KINDS = {
    "info": NotifyType.INFO,
    "success": NotifyType.SUCCESS,
    "warning": NotifyType.WARNING,
    "failure": NotifyType.FAILURE,
}
STATUS = re.compile(r"\berror=(\d{3})\b")
MOST_CUTS = 20
MOST_GROWTH = 6  # of a quote or a space
READ_SECONDS = 10.0


def send(address: Address, message: Message) -> str:
    """Empty if the service has taken it, else why not. Never raises, never holds an address."""
    try:
        with warnings.catch_warnings():
            # They name the host.
            warnings.simplefilter("ignore")
            return _send(address, message)
    except Exception as error:
        return f"the library Apprise failed ({type(error).__name__})"


def _send(address: Address, message: Message) -> str:
    service = address.service
    title = fitted(message.title, service.title_maxlen or MOST_CHARACTERS)
    formats: Any = service.notify_format  # one, or several
    as_html = NotifyFormat.TEXT not in (formats if isinstance(formats, tuple) else (formats,))
    # Many services have no place for a title and get it as the first line. A pager may take less
    # than that: Apprise cuts it, but sends nothing without a body.
    room = max(1, service.body_maxlen - _length(f"<b>{title}</b>\n\n", as_html))
    # One that takes the message and answers later would get it again.
    service.socket_read_timeout = max(service.socket_read_timeout, READ_SECONDS)
    # The text is cut before, by lines. This is only for what grows even more on the way.
    service.overflow_mode = apprise.OverflowMode.TRUNCATE
    with apprise.Apprise(service, asset=asset()).notify(
        title=title,
        body=_body(message.body, room, as_html),
        notify_type=KINDS[message.kind],
        body_format=NotifyFormat.TEXT,
    ) as result:
        if result:
            return ""
        if result.status == AppriseResultStatus.TIMEOUT:
            return f"no answer within {SERVICE_SECONDS} s"
        logged = " ".join(entry.message for entry in result.logs())
    if status := STATUS.search(logged):
        return f"it answered HTTP {status[1]}"
    return "no connection, or no clear answer"


def _body(text: str, room: int, as_html: bool) -> str:
    """What fits when it has grown: half an entity would make some services refuse all of it."""
    limit = min(room, MOST_CHARACTERS)
    for _ in range(MOST_CUTS):
        cut = fitted(text, limit)
        if (length := _length(cut, as_html)) <= room:
            return cut
        limit = min(limit - 1, limit * room // length)
    return fitted(text, room // MOST_GROWTH)


def _length(text: str, as_html: bool) -> int:
    """On the way: Apprise also writes each space and each line's end as HTML."""
    if not as_html:
        return len(text)
    return len(html.escape(text).replace(" ", "&nbsp;").replace("\n", "<br/>"))
