"""Where a request ends: lengths and codings, and what must never become a second request.

Nearly all of these carry a request in what follows the doubtful head. A server that answers it has let it be smuggled.
"""

from benchmarks.conformance.rule import Rule
from benchmarks.conformance.rules._exchanges import hangs_up, in_order, never_served, not_served
from benchmarks.conformance.rules._requests import (
    BAD,
    CHUNKS,
    SERVED,
    SMUGGLED,
    UNKNOWN_CODING,
    echoed,
    post,
    refused,
    request,
    sized,
)

_LENGTH, _CODING = "RFC 9112, 6.3 (5)", "RFC 9112, 6.3 (4)"
_BOTH = echoed(b"abc", 400, 501)
_BODY = bytes(range(256)) * 400
_BEYOND_64_BITS = 2**64 + 3
_TERABYTE = 10**12


def _length(value: str, body: bytes = b"abc") -> tuple[bytes, ...]:
    return (post(f"Content-Length: {value}", body=body + SMUGGLED),)


def _coding(value: str, *fields: str) -> tuple[bytes, ...]:
    return (post(*fields, f"Transfer-Encoding: {value}", body=CHUNKS + SMUGGLED),)


_LENGTHS = (
    Rule("body", "A body of known length is read, and the next request after it.", "RFC 9112, 6.2", "must",
         (sized(b"abc"), echoed(b"abc")), "sound"),
    Rule("body-empty", "A body may be empty.", "RFC 9112, 6.2", "must",
         (sized(b""), echoed(b"")), "sound"),
    Rule("body-looks-like-request", "A body that looks like a request is a body.", "RFC 9112, 6.2", "must",
         (sized(SMUGGLED), echoed(SMUGGLED)), "sound"),
    Rule("body-100-kb", "A body of 100 KB is read whole, or refused with 413.", "RFC 9112, 6.2", "must",
         (sized(_BODY), echoed(_BODY, 413)), "sound"),
    Rule("body-in-pieces", "A body is read however it is cut into packets.", "RFC 9112, 6.2", "must",
         (sized(b"abcdef")[:-6], b"a", b"bc", b"def", echoed(b"abcdef")), "sound"),
    Rule("body-and-next", "A request right behind a body is answered after it.", "RFC 9112, 9.3.2", "must",
         in_order((sized(b"abc"), echoed(b"abc")), (request(), SERVED))),
    Rule("body-unfinished", "A body that is not whole when the client ends is not served.", "RFC 9112, 6.3 (6)", "must",
         never_served(sized(b"abcd")[:-1])),
    Rule("body-of-get", "The body of a GET is not its next request.", "RFC 9112, 6", "must",
         (request(f"Content-Length: {len(SMUGGLED)}") + SMUGGLED, refused(200, 400, 413)), "sound"),
    Rule("body-of-get-chunked", "The chunked body of a GET is not its next request.", "RFC 9112, 6", "must",
         (request("Transfer-Encoding: chunked") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED),
          refused(200, 400, 413)), "sound"),
    Rule("body-of-404", "The body of a request for nothing is not its next request.", "RFC 9112, 9.3", "must",
         (request(f"Content-Length: {len(SMUGGLED)}", target="/nothing", method="POST") + SMUGGLED, refused(404)), "sound"),
    Rule("body-of-405", "The body of a method that is not allowed is not its next request.", "RFC 9112, 9.3", "must",
         (request(f"Content-Length: {len(SMUGGLED)}", method="PUT") + SMUGGLED, refused(405)), "sound"),
    Rule("line-end-after-body", "A line end after a body is ignored.", "RFC 9112, 2.2", "should",
         (sized(b"abc") + b"\r\n" + request(), echoed(b"abc"), SERVED), "sound"),
    Rule("length-zeros", "A length may begin with zeros.", "RFC 9110, 8.6", "must",
         (post("Content-Length: 003", body=b"abc"), echoed(b"abc")), "sound"),
    Rule("length-plus", "A length with a plus sign is refused and the connection closed.", _LENGTH, "must",
         (*_length("+3"), BAD), "over"),
    Rule("length-minus", "A negative length is refused and the connection closed.", _LENGTH, "must",
         (*_length("-3"), BAD), "over"),
    Rule("length-hex", "A hexadecimal length is refused and the connection closed.", _LENGTH, "must",
         (*_length("0x3"), BAD), "over"),
    Rule("length-underscore", "A length with an underscore is refused and the connection closed.", _LENGTH, "must",
         (*_length("0_3"), BAD), "over"),
    Rule("length-superscript", "A superscript three is no length.", _LENGTH, "must",
         (*_length("\xb3"), BAD), "over"),
    Rule("length-vertical-tab", "A vertical tab before a length is no white space.", _LENGTH, "must",
         (*_length("\x0b3"), BAD), "over"),
    Rule("length-hard-space", "A no-break space after a length is no white space.", _LENGTH, "must",
         (*_length("3\xa0"), BAD), "over"),
    Rule("length-empty", "An empty length is refused and the connection closed.", _LENGTH, "must",
         (*_length("", b""), BAD), "over"),
    Rule("lengths-differ", "Two lengths that differ are refused and the connection closed.", _LENGTH, "must",
         (*_length("3\r\nContent-Length: 4"), BAD), "over"),
    Rule("lengths-differ-in-list", "A list of lengths that differ is refused and the connection closed.", _LENGTH, "must",
         (*_length("3, 4"), BAD), "over"),
    Rule("lengths-agree", "Two lengths that agree are refused, or count as one.", "RFC 9110, 8.6", "must",
         (post("Content-Length: 3", "Content-Length: 3", body=b"abc"), echoed(b"abc", 400)), "sound"),
    Rule("lengths-agree-in-list", "A list of lengths that agree is refused, or counts as one.", "RFC 9110, 8.6", "must",
         (post("Content-Length: 3, 3", body=b"abc"), echoed(b"abc", 400)), "sound"),
    Rule("lengths-agree-refused", "Two lengths are refused even when they agree.", "servebench", "ours",
         (*_length("3\r\nContent-Length: 3"), BAD), "over"),
    Rule("length-overflow", "A length beyond 64 bits does not become a small one.", "RFC 9110, 8.6", "must",
         not_served(*_length(str(_BEYOND_64_BITS)), as_body=b"abc")),
    Rule("length-overflow-32", "A length beyond 32 bits does not become a small one.", "RFC 9110, 8.6", "must",
         not_served(*_length(str(2**32 + 3)), as_body=b"abc")),
    Rule("length-overflow-refused", "A length beyond 64 bits is refused at once.", "servebench", "ours",
         (*_length(str(_BEYOND_64_BITS)), refused(400, 413)), "over"),
    Rule("length-terabyte", "A body of a terabyte is refused with 413 before it is sent.", "servebench", "ours",
         (post(f"Content-Length: {_TERABYTE}"), refused(413)), "over"),
    Rule("length-missing", "A POST that says no length is refused with 411.", "servebench", "ours",
         (post(), refused(411)), "over"),
    Rule("length-underscored-name", "Content_Length is another field than Content-Length.", "RFC 9110, 5.1", "must",
         (post("Content-Length: 3", f"Content_Length: {3 + len(SMUGGLED)}", body=b"abc"), echoed(b"abc", 400)), "sound"),
    Rule("refusal-hangs-up", "After a refusal the connection ends, even while the client goes on sending.", _LENGTH, "must",
         hangs_up(_length("-3")[0], BAD)),
)  # fmt: skip

_CODINGS = (
    Rule("length-and-coding", "With length and coding both, the coding counts or 400, then it closes.", "RFC 9112, 6.1", "must",
         (post("Content-Length: 3", "Transfer-Encoding: chunked", body=CHUNKS + SMUGGLED), _BOTH), "over"),
    Rule("coding-and-length", "The same when the coding comes first.", "RFC 9112, 6.1", "must",
         (*_coding("chunked\r\nContent-Length: 3"), _BOTH), "over"),
    Rule("length-hides-request", "A length that reaches over a second request does not count.", "RFC 9112, 6.1", "must",
         (post(f"Content-Length: {len(CHUNKS + SMUGGLED)}", "Transfer-Encoding: chunked", body=CHUNKS + SMUGGLED), _BOTH),
         "over"),
    Rule("length-and-coding-refused", "Length and coding together are refused with 400.", "servebench", "ours",
         (post("Content-Length: 3", "Transfer-Encoding: chunked", body=CHUNKS + SMUGGLED), BAD), "over"),
    Rule("coding-any-case", "CHUNKED is chunked.", "RFC 9112, 7", "must",
         (post("Transfer-Encoding: CHUNKED", body=CHUNKS), echoed(b"abc")), "sound"),
    Rule("coding-trimmed", "Spaces and tabs around a coding are no part of it.", "RFC 9112, 5", "must",
         (post("Transfer-Encoding: \tchunked \t", body=CHUNKS), echoed(b"abc")), "sound"),
    Rule("coding-unknown", "A coding that it does not know is refused with 501.", "RFC 9112, 6.1", "should",
         (*_coding("nonsense, chunked"), refused(501)), "over"),
    Rule("coding-unknown-in-two-fields", "A coding in a field of its own counts as well.", "RFC 9112, 6.1", "should",
         (*_coding("nonsense\r\nTransfer-Encoding: chunked"), refused(501)), "over"),
    Rule("coding-not-last", "chunked that is not last is refused and the connection closed.", _CODING, "must",
         (*_coding("chunked, gzip"), UNKNOWN_CODING), "over"),
    Rule("coding-twice", "chunked twice is refused.", "servebench", "ours",
         (*_coding("chunked, chunked"), UNKNOWN_CODING), "over"),
    Rule("coding-identity", "identity is no coding any more, and no excuse to go by the length.", _CODING, "must",
         (*_coding("identity", "Content-Length: 3"), UNKNOWN_CODING), "over"),
    Rule("coding-without-chunked", "gzip alone gives a body no end: refused and closed.", _CODING, "must",
         (*_coding("gzip"), UNKNOWN_CODING), "over"),
    Rule("coding-empty", "An empty coding gives a body no end: refused and closed.", _CODING, "must",
         (*_coding("", "Content-Length: 3"), UNKNOWN_CODING), "over"),
    Rule("coding-prefix", "xchunked is not chunked.", _CODING, "must",
         (*_coding("xchunked"), UNKNOWN_CODING), "over"),
    Rule("coding-quoted", "Quoted, chunked is not chunked.", _CODING, "must",
         (*_coding('"chunked"'), UNKNOWN_CODING), "over"),
    Rule("coding-parameter", "chunked takes no parameters.", "RFC 9112, 7.1", "should",
         (*_coding("chunked;a=b"), UNKNOWN_CODING), "over"),
    Rule("coding-vertical-tab", "A vertical tab before chunked is no white space.", _CODING, "must",
         (*_coding("\x0bchunked"), UNKNOWN_CODING), "over"),
    Rule("coding-hard-space", "A no-break space after chunked is no white space.", _CODING, "must",
         (*_coding("chunked\xa0"), UNKNOWN_CODING), "over"),
    Rule("coding-underscored-name", "Transfer_Encoding is another field than Transfer-Encoding.", "RFC 9110, 5.1", "must",
         (post("Content-Length: 5", "Transfer_Encoding: chunked", body=b"0\r\n\r\n"), echoed(b"0\r\n\r\n", 400)), "sound"),
    Rule("coding-http-1-0", "After a coding in HTTP/1.0 the connection closes.", "RFC 9112, 6.1", "must",
         (post("Connection: keep-alive", "Transfer-Encoding: chunked", body=CHUNKS + SMUGGLED, version="HTTP/1.0"),
          refused(200, 400, 411, 501)), "over"),
    Rule("coding-http-1-0-refused", "A coding in HTTP/1.0 is refused with 400.", "servebench", "ours",
         (post("Transfer-Encoding: chunked", body=CHUNKS + SMUGGLED, version="HTTP/1.0"), BAD), "over"),
)  # fmt: skip

RULES: tuple[Rule, ...] = (*_LENGTHS, *_CODINGS)
