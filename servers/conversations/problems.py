"""How this server says no: one shape for every error, from the codec and from the application."""

import json
from collections.abc import Iterable
from http import HTTPStatus

from .messages import JSON, Response


def problem(status: int, detail: str, fields: Iterable[tuple[str, str]] = ()) -> Response:
    """A JSON error body: the status, its name, and what was wrong in words."""
    body = {"status": status, "error": HTTPStatus(status).phrase, "detail": detail}
    return Response(status, json.dumps(body).encode() + b"\n", JSON, fields)


class Gone(Exception):  # noqa: N818 - nothing failed
    """The client went away while a handler was taking its body: nobody is there for any answer."""


class Refusal(Exception):  # noqa: N818 - it is an answer, not a failure of ours
    """A request that cannot be served and after which the connection cannot be trusted: say why, then close.

    `unread_bytes` is how much of the request follows its head, as far as not read: 0 if nothing, None if nobody can tell.
    `head_only` says that it was a HEAD request, whose answer has no body even then.
    """

    def __init__(self, status: int, detail: str, unread_bytes: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.unread_bytes = unread_bytes
        self.head_only = False
