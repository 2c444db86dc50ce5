"""Chunked bodies: sizes, extensions, ends, trailers. A body that two readers end in different places smuggles a request."""

from benchmarks.conformance.rule import Rule
from benchmarks.conformance.rules._exchanges import in_order, never_served, not_served
from benchmarks.conformance.rules._requests import BAD, CHUNKS, SERVED, SMUGGLED, chunked, echoed, refused, request, single

_CHUNKED, _GRAMMAR = "RFC 9112, 7.1", "RFC 9112, 2.2 and 7.1"
_END = b"0\r\n\r\n"


def _bad(body: bytes) -> bytes:
    return chunked(body + SMUGGLED)


_READ = (
    Rule("chunks", "A chunked body is read, and the next request after it.", _CHUNKED, "must",
         (chunked(CHUNKS), echoed(b"abc")), "sound"),
    Rule("chunks-several", "The data of several chunks is joined.", _CHUNKED, "must",
         (chunked(b"1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n"), echoed(b"abcdef")), "sound"),
    Rule("chunks-none", "A chunked body may be empty.", _CHUNKED, "must",
         (chunked(_END), echoed(b"")), "sound"),
    Rule("chunks-line-ends", "Line ends in a chunk's data are data.", _CHUNKED, "must",
         (chunked(b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n"), echoed(b"\r\n0\r\n\r\n")), "sound"),
    Rule("chunks-in-pieces", "A chunked body is read however it is cut into packets.", _CHUNKED, "must",
         (chunked(b""), *single(CHUNKS), echoed(b"abc")), "sound"),
    Rule("chunks-and-next", "A request right behind a chunked body is answered after it.", "RFC 9112, 9.3.2", "must",
         in_order((chunked(CHUNKS), echoed(b"abc")), (request(), SERVED))),
    Rule("chunk-size-any-case", "Sizes are hexadecimal, in either case.", _CHUNKED, "must",
         (chunked(b"A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n"), echoed(b"01234567890123456789a")), "sound"),
    Rule("chunk-size-zeros", "Sizes may begin with zeros.", _CHUNKED, "must",
         (chunked(b"0003\r\nabc\r\n000\r\n\r\n"), echoed(b"abc")), "sound"),
    Rule("chunk-extension", "Extensions of a chunk are ignored.", "RFC 9112, 7.1.1", "must",
         (chunked(b'3;a=b;c;d="e f"\r\nabc\r\n0;last\r\n\r\n'), echoed(b"abc")), "sound"),
    Rule("chunk-extension-quoted", "A quoted extension may have a semicolon and an escaped quote.", "RFC 9112, 7.1.1", "must",
         (chunked(b'3;a="b;\\"c"\r\nabc\r\n0\r\n\r\n'), echoed(b"abc")), "sound"),
    Rule("chunk-extension-spaces", "Spaces around an extension's semicolon and equals sign are skipped.", "RFC 9110, 5.6.3",
         "must", (chunked(b"3 ; a = b\r\nabc\r\n0\r\n\r\n"), echoed(b"abc")), "sound"),
    Rule("trailer", "A trailer is read, and the next request after it.", "RFC 9112, 7.1.2", "must",
         (chunked(b"3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n"), echoed(b"abc")), "sound"),
    Rule("trailer-framing", "A length in a trailer frames nothing.", "RFC 9110, 6.5.1", "must",
         (chunked(b"3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n"), echoed(b"abc", 400)), "sound"),
    Rule("trailer-connection", "Host and Connection in a trailer are not the request's.", "RFC 9110, 6.5.1", "must",
         (chunked(b"3\r\nabc\r\n0\r\nHost: b\r\nConnection: close\r\n\r\n"), echoed(b"abc", 400)), "sound"),
)  # fmt: skip

_REFUSED = (
    Rule("chunk-size-plus", "A size with a plus sign is refused.", _GRAMMAR, "should",
         (_bad(b"+3\r\nabc\r\n0\r\n\r\n"), BAD), "over"),
    Rule("chunk-size-0x", "A size that begins with 0x is refused.", _GRAMMAR, "should",
         (_bad(b"0x3\r\nabc\r\n0\r\n\r\n"), BAD), "over"),
    Rule("chunk-size-underscore", "A size with an underscore is refused.", _GRAMMAR, "should",
         (_bad(b"0_3\r\nabc\r\n0\r\n\r\n"), BAD), "over"),
    Rule("chunk-size-space-before", "A size with a space before it is refused.", _GRAMMAR, "should",
         (_bad(b" 3\r\nabc\r\n0\r\n\r\n"), BAD), "over"),
    Rule("chunk-size-space-after", "A size with nothing but a space after it is refused.", _GRAMMAR, "should",
         (_bad(b"3 \r\nabc\r\n0\r\n\r\n"), BAD), "over"),
    Rule("chunk-size-missing", "An empty size is refused.", _GRAMMAR, "should",
         (_bad(b"\r\nabc\r\n0\r\n\r\n"), BAD), "over"),
    Rule("chunk-size-letter", "A size that is no hexadecimal number is refused.", _GRAMMAR, "should",
         (_bad(b"g\r\nabc\r\n0\r\n\r\n"), BAD), "over"),
    Rule("chunk-size-overflow", "A size beyond 64 bits does not become a small one.", _CHUNKED, "must",
         not_served(_bad(b"10000000000000003\r\nabc\r\n0\r\n\r\n"), as_body=b"abc")),
    Rule("chunk-size-overflow-refused", "A size beyond 64 bits is refused at once.", "servebench", "ours",
         (_bad(b"10000000000000003\r\nabc\r\n0\r\n\r\n"), refused(400, 413)), "over"),
    Rule("chunk-terabyte", "A chunk of a terabyte is refused with 413 before it is sent.", "servebench", "ours",
         (chunked(b"e8d4a51000\r\n"), refused(413)), "over"),
    Rule("chunk-size-lf", "A bare LF does not end a size.", _GRAMMAR, "should",
         (_bad(b"3\nabc\r\n0\r\n\r\n"), BAD), "over"),
    Rule("chunk-size-cr", "A bare CR does not end a size.", _GRAMMAR, "should",
         (_bad(b"3\rabc\r\n0\r\n\r\n"), BAD), "over"),
    Rule("chunk-extension-lf", "A bare LF does not end an extension.", _GRAMMAR, "should",
         (_bad(b"3;a\nabc\r\n0\r\n\r\n"), BAD), "over"),
    Rule("chunk-extension-huge", "An extension of 1 MB is refused.", "servebench", "ours",
         (_bad(b"3;" + b"a" * 1_000_000 + b"\r\nabc\r\n0\r\n\r\n"), refused(400, 413, 431)), "over"),
    Rule("chunk-too-long", "A chunk with more data than its size is refused.", _GRAMMAR, "should",
         (_bad(b"3\r\nabcd\r\n0\r\n\r\n"), BAD), "over"),
    Rule("chunk-too-short", "A chunk with less data than its size is refused.", _GRAMMAR, "should",
         (_bad(b"4\r\nabc\r\n0\r\n\r\n"), BAD), "over"),
    Rule("chunk-end-other", "What ends a chunk's data is CRLF, not any two bytes.", _GRAMMAR, "should",
         (_bad(b"3\r\nabcXX0\r\n\r\n"), BAD), "over"),
    Rule("chunk-end-lf", "A bare LF does not end a chunk's data.", _GRAMMAR, "should",
         (_bad(b"3\r\nabc\n0\r\n\r\n"), BAD), "over"),
    Rule("chunk-end-missing", "A chunk's data without its CRLF is refused.", _GRAMMAR, "should",
         (_bad(b"3\r\nabc0\r\n\r\n"), BAD), "over"),
    Rule("chunks-end-missing", "A last chunk without its empty line swallows no request as its trailer.", _GRAMMAR, "should",
         (_bad(b"3\r\nabc\r\n0\r\n"), BAD), "over"),
    Rule("chunks-unfinished", "Chunks without a last one are not served.", "RFC 9112, 8", "must",
         never_served(chunked(b"3\r\nabc\r\n"))),
    Rule("chunk-unfinished", "A chunk that is not whole when the client ends is not served.", "RFC 9112, 8", "must",
         never_served(chunked(b"3\r\nab"))),
    Rule("trailer-no-colon", "A trailer that is no field is refused.", _GRAMMAR, "should",
         (_bad(b"3\r\nabc\r\n0\r\nX y\r\n\r\n"), BAD), "over"),
    Rule("trailer-space-before-colon", "A trailer with a space before its colon is refused.", _GRAMMAR, "should",
         (_bad(b"3\r\nabc\r\n0\r\nX : y\r\n\r\n"), BAD), "over"),
    Rule("trailer-huge", "A trailer of 1 MB is refused with 431.", "servebench", "ours",
         (_bad(b"3\r\nabc\r\n0\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n"), refused(431)), "over"),
)  # fmt: skip

RULES: tuple[Rule, ...] = (*_READ, *_REFUSED)
