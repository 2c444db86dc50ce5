"""Requests as bytes, and the answers that rules await: the words in which rules are written."""

from benchmarks.conformance.rule import Answer

HELLO_BODY = b"Hello, World!"
SERVED = Answer((200,), HELLO_BODY)
SERVED_HEAD = Answer((200,), to_head=True)
BAD = Answer((400,))
UNKNOWN_CODING = Answer((400, 501))
SERVED_OR_BAD = Answer((200, 400), HELLO_BODY)

DATE = r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT"
CLOSE = r"(?i)(.*[, ])?close([, ].*)?"


def refused(*statuses: int) -> Answer:
    """An answer with one of these statuses."""
    return Answer(statuses)


def echoed(body: bytes, *refusals: int) -> Answer:
    """What /echo answers, or one of these refusals."""
    return Answer((200, *refusals), body)


def dated(*statuses: int, to_head: bool = False) -> Answer:
    """An answer with a Date (RFC 9110, 5.6.7)."""
    return Answer(statuses, fields=(("Date", DATE),), to_head=to_head)


def request(*fields: str, target: str = "/hello", version: str = "HTTP/1.1", method: str = "GET", host: bool = True) -> bytes:
    """A head, byte by byte as given: each of `fields` is a line."""
    return lines(f"{method} {target} {version}", *(["Host: a"] if host else []), *fields)


def lines(*all_lines: str) -> bytes:
    """A head of these lines."""
    return "\r\n".join((*all_lines, "", "")).encode("latin-1")


def post(*fields: str, body: bytes = b"", version: str = "HTTP/1.1") -> bytes:
    """A POST to /echo; its length is not added."""
    return request(*fields, target="/echo", method="POST", version=version) + body


def sized(body: bytes, *fields: str, version: str = "HTTP/1.1") -> bytes:
    """A POST to /echo with this body and its Content-Length."""
    return post(f"Content-Length: {len(body)}", *fields, body=body, version=version)


def chunked(body: bytes) -> bytes:
    """A POST to /echo with these bytes as its chunks."""
    return post("Transfer-Encoding: chunked", body=body)


def single(data: bytes) -> tuple[bytes, ...]:
    """The same, a byte at a time."""
    return tuple(data[i : i + 1] for i in range(len(data)))


# What follows a request that must end the connection, or is its body: an answer to it is 404, or one too many.
SMUGGLED = request(target="/smuggled")
CHUNKS = b"3\r\nabc\r\n0\r\n\r\n"
