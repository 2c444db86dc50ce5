"""Requests as bytes, and the answers that rules await: the words in which rules are written."""

from benchmarks.conformance.rule import Answer

HELLO_BODY = b"Hello, World!"
SERVED = Answer((200,), HELLO_BODY)
SERVED_HEAD = Answer((200,), to_head=True)


def refused(*statuses: int) -> Answer:
    """An answer with one of these statuses."""
    return Answer(statuses)


def echoed(body: bytes) -> Answer:
    """What /echo answers."""
    return Answer((200,), body)


def request(*fields: str, target: str = "/hello", version: str = "HTTP/1.1", method: str = "GET", host: bool = True) -> bytes:
    """A head, byte by byte as given: each of `fields` is a line."""
    lines = (f"{method} {target} {version}", *(["Host: a"] if host else []), *fields, "", "")
    return "\r\n".join(lines).encode("latin-1")


def post(*fields: str, body: bytes = b"", version: str = "HTTP/1.1") -> bytes:
    """A POST to /echo; its length is not added."""
    return request(*fields, target="/echo", method="POST", version=version) + body


def chunked(body: bytes) -> bytes:
    """A POST to /echo with these bytes as its chunks."""
    return post("Transfer-Encoding: chunked", body=body)
