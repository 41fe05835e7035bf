"""The door of the local AWS: in come only requests that were signed with its key.

MiniStack answers every local user and every web page. Its own AUTH=true is not enough: it leaves
many paths open, and gives functions keys that can be worked out from their names.
"""

import hashlib
import json
import re
from typing import Any
from urllib.parse import parse_qs

# Private parts of the version pinned in requirements/dev.in (1.5.33).
from ministack.core.iam_evaluator import (  # type: ignore[import-untyped]
    CredentialResolutionError,
    resolve_credential,
)
from ministack.core.sigv4 import (  # type: ignore[import-untyped]
    HeaderSignature,
    decode_header_value,
    header_signature_failure,
    parse_header_signature,
    request_time_failure,
)

ALGORITHM = "AWS4-HMAC-SHA256 "


class Door:
    """An ASGI application before another one, which never sees what is refused."""

    def __init__(self, app: Any, host: str) -> None:
        self._app = app
        self._host = host

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] != "http":
            # A WebSocket that is closed before it is accepted; the server answers 403.
            await send({"type": "websocket.close"})
        elif refusal := self._refuse_head(scope):
            await _refuse(send, refusal)
        else:
            body = await _read(receive)
            if body is None:
                return
            if refusal := refuse_signature(scope, body):
                await _refuse(send, refusal)
            else:
                await self._app(scope, _again(body, receive), send)

    def _refuse_head(self, scope: dict[str, Any]) -> str:
        """Why, before any of the body is read; empty if it may go on."""
        headers = _headers(scope)
        # A web page may have a name that leads here (DNS rebinding).
        if headers.get("host") != [self._host]:
            return f"The host of a request has to be {self._host}."
        if "origin" in headers:
            return "Web pages have no access."
        signed = [value.startswith(ALGORITHM) for value in headers.get("authorization", [])]
        if signed != [True]:
            return "Only requests signed with the key of this local AWS have access."
        return ""


def refuse_signature(scope: dict[str, Any], body: bytes) -> str:
    """Why the signature is not one of ours for exactly this request and now; empty if it is."""
    headers = {name: ", ".join(values) for name, values in _headers(scope).items()}
    signature = parse_header_signature(headers)
    if not isinstance(signature, HeaderSignature):
        return str(signature[1])
    # S3's clients send the body's hash and sign that: it must be this body's.
    if headers.get("x-amz-content-sha256", digest := hashlib.sha256(body).hexdigest()) != digest:
        return "The body is not the one that was signed."
    key = signature.access_key_id
    # With MiniStack a key that is an account's number names that account.
    credential = resolve_credential(key, key if re.fullmatch(r"\d{12}", key) else None)
    if isinstance(credential, CredentialResolutionError):
        return str(credential.message)
    failure = request_time_failure(signature) or header_signature_failure(
        signature,
        credential.secret_access_key,
        scope["method"],
        scope["raw_path"].decode("ascii"),
        parse_qs(scope["query_string"].decode(), keep_blank_values=True),
        headers,
        body,
    )
    return str(failure[1]) if failure else ""


def _headers(scope: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(decode_header_value(value))
    return found


async def _read(receive: Any) -> bytes | None:
    """The whole body; None if the client has gone."""
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes, receive: Any) -> Any:
    """What receives that body, and then what comes after it."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive_again() -> Any:
        return next(messages, None) or await receive()

    return receive_again


async def _refuse(send: Any, reason: str) -> None:
    text = json.dumps({"__type": "AccessDenied", "message": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(text))]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": text})
