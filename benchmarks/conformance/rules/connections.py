"""Connections: who keeps them, who closes them, and many requests on one."""

from benchmarks.conformance.rule import Answer, HalfClose, Rule, Script
from benchmarks.conformance.rules._exchanges import closes_after, in_order, keeps_its_word
from benchmarks.conformance.rules._requests import (
    BAD,
    CHUNKS,
    CLOSE,
    HELLO_BODY,
    SERVED,
    SERVED_HEAD,
    SMUGGLED,
    chunked,
    echoed,
    refused,
    request,
    sized,
)

_PERSISTENCE, _CLOSE, _PIPELINE = "RFC 9112, 9.3", "RFC 9112, 9.6", "RFC 9112, 9.3.2"
_OLD = request(version="HTTP/1.0")
_CLOSING = request("Connection: close")


_SIZES = (100, 1, 1000, 0, 10, 4096, 2, 1024, 5)  # those that a server of files has, too


def _counting(n: int) -> bytes:
    return (bytes(range(256)) * (n // 256 + 1))[:n]


def _bytes(n: int) -> tuple[bytes, Answer]:
    return request(target=f"/bytes/{n}"), Answer((200,), _counting(n))


_NOTHING = (request(target="/nothing"), refused(404))
_HELLO = (request(), SERVED)
_MIXED = (
    _bytes(5), (sized(b"abc"), echoed(b"abc")), (request(method="HEAD"), SERVED_HEAD), _NOTHING,
    (chunked(CHUNKS), echoed(b"abc")), (request(method="DELETE"), refused(405)), (sized(SMUGGLED), echoed(SMUGGLED)), _HELLO,
)  # fmt: skip
_ALL_MIXED: Script = (b"".join(sent for sent, _ in _MIXED), *(wanted for _, wanted in _MIXED))

_KEEPING = (
    Rule("persists", "A connection serves another request.", _PERSISTENCE, "should",
         (request(), SERVED), "open"),
    Rule("persists-after-body", "A connection outlives a request with a body.", _PERSISTENCE, "should",
         (sized(b"abc"), echoed(b"abc")), "open"),
    Rule("close-only-if-said", "An answer says close if the connection closes after it, and only then.", _PERSISTENCE, "must",
         keeps_its_word),
    Rule("close-lookalikes", "Only close means close.", _PERSISTENCE, "should",
         (request("Connection: closed, x-close, clos"), SERVED), "open"),
    Rule("proxy-connection", "Proxy-Connection means nothing.", "RFC 9110, 5.1", "should",
         (request("Proxy-Connection: close"), SERVED), "open"),
    Rule("old-closes", "HTTP/1.0 is answered and the connection closed.", _PERSISTENCE, "must",
         closes_after(_OLD, SMUGGLED)),
    Rule("old-closes-over-keep-alive", "In HTTP/1.0, too, close counts more than keep-alive.", _PERSISTENCE, "must",
         closes_after(request("Connection: keep-alive, close", version="HTTP/1.0"), SMUGGLED)),
    Rule("old-kept", "HTTP/1.0 may ask to keep the connection, and is told that it is kept.", "servebench", "ours",
         (request("Connection: Keep-Alive", version="HTTP/1.0"),
          Answer((200,), HELLO_BODY, fields=(("Connection", "(?i)keep-alive"),))), "open"),
    Rule("old-no-host", "HTTP/1.0 needs no Host.", "servebench", "ours",
         (request(version="HTTP/1.0", host=False), SERVED), "closed"),
    Rule("old-not-chunked", "HTTP/1.0 gets no Transfer-Encoding.", "RFC 9112, 6.1", "must",
         (request(target="/bytes/70000", version="HTTP/1.0"),
          Answer((200,), _counting(70_000), lacks=("Transfer-Encoding",))), "sound"),
    Rule("old-body", "HTTP/1.0 may send a body.", "RFC 9112, 6.2", "must",
         (sized(b"abc", version="HTTP/1.0"), echoed(b"abc")), "sound"),
    Rule("close", "A request that says close is the last one, and the server closes.", _CLOSE, "must",
         closes_after(_CLOSING)),
    Rule("close-said", "The answer after which the connection closes says close.", _CLOSE, "should",
         (_CLOSING, Answer((200,), HELLO_BODY, fields=(("Connection", CLOSE),))), "over"),
    Rule("close-any-case", "CLOSE is close.", "RFC 9110, 7.6.1", "must",
         closes_after(request("Connection: CLOSE"))),
    Rule("close-in-list", "close may be one of several options.", "RFC 9110, 7.6.1", "must",
         closes_after(request("Connection: x, close ,y"))),
    Rule("close-in-second-field", "close may be in a second Connection field.", "RFC 9110, 5.2", "must",
         closes_after(request("Connection: keep-alive", "Connection: close"))),
    Rule("close-empty-elements", "Empty elements in a list of options are ignored.", "RFC 9110, 5.6.1.2", "must",
         closes_after(request("Connection: ,, close,"))),
    Rule("close-after-body", "A request with a body may say close.", _CLOSE, "must",
         closes_after(sized(b"abc", "Connection: close"), wanted=echoed(b"abc"))),
    Rule("close-after-large", "All of a large last answer comes before the connection closes.", _CLOSE, "must",
         closes_after(request("Connection: close", target="/bytes/1000000"), wanted=Answer((200,), _counting(1_000_000)))),
    Rule("close-said-to-refused", "A refusal that ends the connection says close.", _CLOSE, "should",
         (request("X : y"), Answer((400,), fields=(("Connection", CLOSE),))), "over"),
)  # fmt: skip

_PIPELINING = (
    Rule("pipeline", "Requests sent at once are answered in their order.", _PIPELINE, "must",
         in_order(*map(_bytes, _SIZES))),
    Rule("pipeline-all", "All requests sent at once are answered.", "servebench", "ours",
         (b"".join(_bytes(n)[0] for n in _SIZES * 6), *(_bytes(n)[1] for n in _SIZES * 6)), "open"),
    Rule("pipeline-mixed", "Bodies, HEAD and errors among them change nothing.", _PIPELINE, "must",
         in_order(*_MIXED)),
    Rule("pipeline-mixed-all", "All of a mixed lot sent at once are answered.", "servebench", "ours",
         _ALL_MIXED, "open"),
    Rule("pipeline-large", "Large answers keep the order, too.", _PIPELINE, "must",
         in_order(_bytes(100_000), _HELLO, _bytes(70_000), _NOTHING)),
    Rule("pipeline-cut", "A request that comes in two packets with others is one request.", _PIPELINE, "must",
         in_order(_HELLO, (sized(b"abc"), echoed(b"abc")), _HELLO, cuts=(len(request()) + 9, 2 * len(request())))),
    Rule("pipeline-close", "Nothing is answered behind a request that says close.", _CLOSE, "must",
         in_order(_HELLO, (_CLOSING + SMUGGLED + SMUGGLED, SERVED))),
    Rule("pipeline-refusal", "A refusal waits for the answers before it.", _PIPELINE, "must",
         in_order(_HELLO, (sized(b"abc"), echoed(b"abc")), (request(host=False), refused(200, 400)))),
    Rule("pipeline-refusal-last", "Nothing is answered behind a refusal.", "servebench", "ours",
         (request() + request(host=False) + SMUGGLED, SERVED, BAD), "over"),
)  # fmt: skip

_ENDS = (
    Rule("half-close", "A client that ends after its request still gets the answer.", "servebench", "ours",
         (request(), HalfClose(), SERVED), "closed"),
    Rule("half-close-body", "A client that ends after its body still gets the answer.", "servebench", "ours",
         (sized(b"abc"), HalfClose(), echoed(b"abc")), "closed"),
    Rule("half-close-pipeline", "A client that ends after several requests still gets all answers.", "servebench", "ours",
         (_bytes(5)[0] + _bytes(100_000)[0] + request(), HalfClose(), _bytes(5)[1], _bytes(100_000)[1], SERVED), "closed"),
    Rule("half-close-after-answer", "A client that ends is left without a word.", "servebench", "ours",
         (request(), SERVED, HalfClose()), "closed"),
    Rule("half-close-at-once", "A client that ends without a request is left without a word.", "servebench", "ours",
         (HalfClose(),), "closed"),
)  # fmt: skip

RULES: tuple[Rule, ...] = (*_KEEPING, *_PIPELINING, *_ENDS)
