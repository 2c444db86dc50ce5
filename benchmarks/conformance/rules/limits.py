"""Sizes: what is exactly at a limit is served, a byte more is refused, and the refusal can be read.

The numbers are this project's; of others the standard asks only that what they find too long is refused as such.
"""

from benchmarks.conformance.rule import Answer, Broken, Rule, Unfit
from benchmarks.conformance.rules._requests import HELLO_BODY, SERVED, chunked, lines, post, refused, request
from benchmarks.conformance.subjects import Running

LINE_BYTES, SECTION_BYTES, FIELDS, BODY_BYTES = 8 * 1024, 16 * 1024, 100, 16 * 1024 * 1024
PIECE_BYTES = 64 * 1024
READ_BYTES_MOST = 64 * 1024 * 1024  # by a server and the kernels between, of a request that is refused already

_LINE, _SECTION, _EXTENSIONS = "RFC 9112, 3", "RFC 9110, 5.4", "RFC 9112, 7.1.1"
_TOO_LONG = refused(*range(400, 418), 431)
_SERVED_OR_TOO_LONG = Answer((200, *_TOO_LONG.statuses), HELLO_BODY)
_SERVED_OR_414 = Answer((200, 414), HELLO_BODY)


def _line(size: int) -> str:
    """A request line of so many bytes."""
    return "GET /hello?" + "x" * (size - len("GET /hello? HTTP/1.1")) + " HTTP/1.1"


def _section(size: int) -> tuple[str, ...]:
    """Host and further fields, which with their line ends have so many bytes; none has more than 4 KiB."""
    fields = ["Host: a"]
    left = size - len("Host: a\r\n")
    while left:
        taken = left if left <= 4096 else min(4096, left - 100)
        fields.append(f"X-{len(fields)}: ".ljust(taken - 2, "y"))
        left -= taken
    return tuple(fields)


def _fields(count: int) -> tuple[str, ...]:
    return ("Host: a", *(f"X-{i}: y" for i in range(count - 1)))


_USUAL = _line(len("GET /hello? HTTP/1.1"))


def a_refusal_can_be_read(running: Running) -> None:
    """Whoever sends a body that is too large gets to see the answer: no reset destroys it on its way."""
    with running.connect() as client:
        client.send(post(f"Content-Length: {2 * BODY_BYTES}"))
        for _ in range(4):
            if not client.send(bytes(PIECE_BYTES)):
                break
        if not client.is_readable(client.patience_s):
            raise Unfit(f"it takes bodies of {2 * BODY_BYTES} bytes")
        client.expect(refused(413))


def a_refused_client_is_not_heard_for_ever(running: Running) -> None:
    """A client that goes on sending what is refused is cut off."""
    with running.connect() as client:
        client.send(post(f"Content-Length: {16 * READ_BYTES_MOST}"))
        try:
            for _ in range(READ_BYTES_MOST // PIECE_BYTES):
                if not client.send(bytes(PIECE_BYTES)):
                    return
        except Broken:
            return  # it takes nothing more
        raise client.broken(f"took in {READ_BYTES_MOST} bytes of a body that is too large")


_HEADS = (
    Rule("line-8000", "A request line of 8000 bytes is served.", _LINE, "should",
         (lines(_line(8000), "Host: a"), SERVED), "sound"),
    Rule("line-at-limit", "A request line of 8 KiB is served.", "servebench", "ours",
         (lines(_line(LINE_BYTES), "Host: a"), SERVED), "sound"),
    Rule("line-over-limit", "A request line of 8 KiB and a byte is refused with 414, and the connection closed.",
         "servebench", "ours",
         (lines(_line(LINE_BYTES + 1), "Host: a"), refused(414)), "closed"),
    Rule("line-far-over", "A request target is refused with 414 if it is too long.", _LINE, "must",
         (lines(_line(65_000), "Host: a"), _SERVED_OR_414)),
    Rule("line-endless", "A request line that is too long is refused before it ends.", "servebench", "ours",
         (_line(LINE_BYTES + 100).encode(), refused(414)), "closed"),
    Rule("section-at-limit", "A header section of 16 KiB is served.", "servebench", "ours",
         (lines(_USUAL, *_section(SECTION_BYTES)), SERVED), "sound"),
    Rule("section-over-limit", "A header section of 16 KiB and a byte is refused with 431, and the connection closed.",
         "servebench", "ours",
         (lines(_USUAL, *_section(SECTION_BYTES + 1)), refused(431)), "closed"),
    Rule("section-far-over", "A header section is refused with a 4xx if it is too long.", _SECTION, "must",
         (lines(_USUAL, *_section(500_000)), _SERVED_OR_TOO_LONG)),
    Rule("section-endless", "A header section that is too long is refused before it ends.", "servebench", "ours",
         (lines(_USUAL, *_section(SECTION_BYTES + 100))[:-2], refused(431)), "closed"),
    Rule("section-one-field", "One field may fill the header section.", "servebench", "ours",
         (lines(_USUAL, "Host: a", "X: ".ljust(SECTION_BYTES - len("Host: a\r\n\r\n"), "y")), SERVED), "open"),
    Rule("line-and-section-at-limit", "The request line does not count as part of the header section.", "servebench", "ours",
         (lines(_line(LINE_BYTES), *_section(SECTION_BYTES)), SERVED), "sound"),
    Rule("fields-at-limit", "A header section of 100 fields is served.", "servebench", "ours",
         (lines(_USUAL, *_fields(FIELDS)), SERVED), "sound"),
    Rule("fields-over-limit", "A header section of 101 fields is refused with 431, and the connection closed.",
         "servebench", "ours",
         (lines(_USUAL, *_fields(FIELDS + 1)), refused(431)), "closed"),
    Rule("fields-far-over", "Fields are refused with a 4xx if there are too many.", _SECTION, "must",
         (lines(_USUAL, *_fields(50_000)), _SERVED_OR_TOO_LONG)),
    Rule("empty-lines", "Some empty lines before a request are skipped.", "servebench", "ours",
         (b"\r\n" * 4 + request(), SERVED), "sound"),
    Rule("empty-lines-many", "A thousand empty lines are no request.", "servebench", "ours",
         (b"\r\n" * 1000, refused(400)), "closed"),
)  # fmt: skip

_BODIES = (
    Rule("body-at-limit", "A body of 16 MiB is welcome.", "servebench", "ours",
         (post("Expect: 100-continue", f"Content-Length: {BODY_BYTES}"), Answer((100,)))),
    Rule("body-over-limit", "A body of 16 MiB and a byte is refused with 413 before any of it was sent.", "servebench", "ours",
         (post(f"Content-Length: {BODY_BYTES + 1}"), refused(413)), "closed"),
    Rule("body-over-limit-expect", "Nobody is asked to go on with a body that will be refused.", "servebench", "ours",
         (post("Expect: 100-continue", f"Content-Length: {BODY_BYTES + 1}"), refused(413))),
    Rule("chunk-over-limit", "A chunk of more than 16 MiB is refused with 413 before any of it was sent.", "servebench", "ours",
         (chunked(b"%x\r\n" % (BODY_BYTES + 1)), refused(413)), "closed"),
    Rule("chunks-over-limit", "Chunks of together more than 16 MiB are refused with 413.", "servebench", "ours",
         (chunked(b"3\r\nabc\r\n%x\r\n" % (BODY_BYTES - 2)), refused(413)), "closed"),
    Rule("body-refusal-read", "A client that is sending too large a body can read the refusal.", "RFC 9112, 9.6", "should",
         a_refusal_can_be_read),
    Rule("body-refusal-ends", "A client that goes on sending what is refused is cut off.", "servebench", "ours",
         a_refused_client_is_not_heard_for_ever),
    Rule("chunk-line-long", "A chunk's extensions of 20 KiB are refused.", _EXTENSIONS, "should",
         (chunked(b"3;" + b"x" * 20_000 + b"\r\nabc\r\n0\r\n\r\n"), _TOO_LONG)),
    Rule("chunk-lines-long", "Extensions of together 200 KiB around a body of next to nothing are refused.", _EXTENSIONS,
         "should",
         (chunked((b"1;" + b"x" * 1000 + b"\r\na\r\n") * 200 + b"0\r\n\r\n"), _TOO_LONG)),
    Rule("trailer-over-limit", "A trailer section of more than 16 KiB is refused with 431.", "servebench", "ours",
         (chunked(b"0\r\n" + b"X: %b\r\n" % (b"y" * 1000) * 17 + b"\r\n"), refused(431))),
    Rule("trailer-fields-over-limit", "A trailer section of 101 fields is refused with 431.", "servebench", "ours",
         (chunked(b"0\r\n" + b"X: y\r\n" * 101 + b"\r\n"), refused(431))),
)  # fmt: skip

RULES: tuple[Rule, ...] = _HEADS + _BODIES
