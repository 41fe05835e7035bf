"""The API's errors: code, HTTP status, body."""

from typing import Any

STATUS_OF_CODE = {
    "json_error": 400,
    "unauthorized": 401,
    "token_readonly": 401,
    "forbidden": 403,
    "maintenance": 403,
    "resource_limit_exceeded": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "conflict": 409,
    "uniqueness_error": 409,
    "deprecated_api_endpoint": 410,
    "placement_error": 412,
    "resource_unavailable": 412,
    "firewall_already_applied": 422,
    "firewall_already_removed": 422,
    "firewall_resource_not_found": 422,
    "invalid_input": 422,
    "resource_in_use": 422,
    "service_error": 422,
    "unsupported_error": 422,
    "locked": 423,
    "protected": 423,
    "rate_limit_exceeded": 429,
    "server_error": 500,
    "bad_gateway": 502,
    "unavailable": 503,
    "timeout": 504,
}


class ApiError(Exception):
    """An error, with code and message as the API gives them."""

    def __init__(self, code: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(f"{message} ({code})")
        self.status = STATUS_OF_CODE[code]
        self.body = {"error": {"code": code, "message": message, "details": details}}


def invalid_input(field: str, message: str) -> ApiError:
    return ApiError(
        "invalid_input",
        f"invalid input in field '{field}': {message}",
        {"fields": [{"name": field, "messages": [message]}]},
    )


def not_found(kind: str, id_: int) -> ApiError:
    return ApiError("not_found", f"{kind} with ID '{id_}' not found")
