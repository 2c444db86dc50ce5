"""What requests mean: methods, routes that are not there, expectations, upgrades."""

from benchmarks.conformance.rule import Answer, Rule
from benchmarks.conformance.rules._exchanges import awaits_body, head_like_get
from benchmarks.conformance.rules._requests import (
    BAD,
    CHUNKS,
    SERVED,
    SERVED_HEAD,
    echoed,
    post,
    refused,
    request,
    sized,
)

_EXPECT = "RFC 9110, 10.1.1"
_EXPECTED = post("Content-Length: 3", "Expect: 100-continue")
_NOT_SWITCHED = Answer((200, 400, 426))


def _allows(method: str) -> Answer:
    return Answer((405,), fields=(("Allow", rf"(.*[, ])?{method}([, ].*)?"),))


_METHODS = (
    Rule("head", "HEAD is answered like GET, without a body.", "RFC 9110, 9.3.2", "must",
         (request(method="HEAD"), SERVED_HEAD), "sound"),
    Rule("head-length", "If HEAD says a length, it is that of GET.", "RFC 9110, 8.6", "must",
         head_like_get("/bytes/1000")),
    Rule("head-same-fields", "HEAD says the same type and length as GET.", "RFC 9110, 9.3.2", "should",
         (request(method="HEAD"),
          Answer((200,), fields=(("Content-Length", "13"), ("Content-Type", "text/plain.*")), to_head=True)), "sound"),
    Rule("head-404", "A HEAD for nothing is answered 404 without a body.", "RFC 9110, 9.3.2", "must",
         (request(method="HEAD", target="/nothing"), Answer((404,), to_head=True)), "sound"),
    Rule("head-400", "A HEAD that is refused is answered without a body.", "RFC 9110, 9.3.2", "must",
         (request("X : y", method="HEAD"), Answer((400,), to_head=True)), "sound"),
    Rule("options", "OPTIONS says what a resource allows.", "servebench", "ours",
         (request(method="OPTIONS"), Answer((200, 204), fields=(("Allow", ".*GET.*"),))), "open"),
    Rule("not-found", "What is not there is 404.", "RFC 9110, 15.5.5", "must",
         (request(target="/nothing"), refused(404)), "sound"),
    Rule("not-allowed", "A method that a resource does not have is 405 and Allow names those it has.", "RFC 9110, 15.5.6",
         "must", (request("Content-Length: 0", method="PUT"), _allows("GET")), "sound"),
    Rule("not-allowed-delete", "Allow names HEAD, too.", "RFC 9110, 15.5.6", "must",
         (request(method="DELETE"), _allows("HEAD")), "sound"),
    Rule("not-allowed-get", "Allow is that of the resource asked for.", "RFC 9110, 15.5.6", "must",
         (request(target="/echo"), _allows("POST")), "sound"),
    Rule("method-unknown", "A method that nobody knows is 501.", "RFC 9110, 9.1", "should",
         (request(method="BREW"), refused(501)), "sound"),
    Rule("method-long", "A method longer than any it knows is 501.", "RFC 9112, 3", "should",
         (request(method="A" * 100), refused(501)), "sound"),
    Rule("method-connect", "CONNECT is 501: this is no proxy.", "servebench", "ours",
         (request(method="CONNECT", target="a:80"), refused(501)), "over"),
    Rule("method-trace", "TRACE is 501: nothing is echoed.", "servebench", "ours",
         (request(method="TRACE"), refused(501)), "over"),
    Rule("content-type-injection", "A declared type can't bring a header into the answer.", "RFC 9110, 5.5", "must",
         (sized(b"abc", "Content-Type: text/plain\rInjected: yes"), Answer((200, 400), lacks=("Injected",))), "sound"),
)  # fmt: skip

_EXPECTATIONS = (
    Rule("continue", "Who expects 100 gets it, or a final answer, before the body is sent.", _EXPECT, "must",
         awaits_body(_EXPECTED, b"abc", echoed(b"abc"))),
    Rule("continue-said", "Who expects 100 and would be served gets it.", "servebench", "ours",
         (_EXPECTED, refused(100), b"abc", echoed(b"abc")), "open"),
    Rule("continue-any-case", "The expectation is read in any case.", _EXPECT, "must",
         awaits_body(post("Content-Length: 3", "Expect: 100-Continue"), b"abc", echoed(b"abc"))),
    Rule("continue-chunked", "A chunked body can be waited for as well.", _EXPECT, "must",
         awaits_body(post("Transfer-Encoding: chunked", "Expect: 100-continue"), CHUNKS, echoed(b"abc"))),
    Rule("continue-body-here", "A body that came along needs no 100, and is read once.", _EXPECT, "must",
         awaits_body(_EXPECTED, b"abc", echoed(b"abc"), at_once=True)),
    Rule("continue-no-body", "An expectation without a body waits for nothing.", _EXPECT, "must",
         awaits_body(request("Expect: 100-continue"), b"", SERVED)),
    Rule("continue-http-1-0", "HTTP/1.0 gets no 100.", _EXPECT, "must",
         (post("Content-Length: 3", "Expect: 100-continue", version="HTTP/1.0"), b"abc", echoed(b"abc")), "sound"),
    Rule("continue-refused", "A body that is too large is refused without 100.", "servebench", "ours",
         (post("Content-Length: 1000000000000", "Expect: 100-continue"), refused(413)), "over"),
    Rule("continue-no-host", "A request without Host is refused without 100.", "servebench", "ours",
         (b"POST /echo HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n", BAD), "over"),
    Rule("expectation-unknown", "An expectation that nobody knows is refused with 417.", "servebench", "ours",
         (sized(b"abc", "Expect: miracles"), refused(417)), "over"),
    Rule("expectation-unknown-http-1-0", "HTTP/1.0 may expect what it likes.", "servebench", "ours",
         (request("Expect: miracles", "Connection: keep-alive", version="HTTP/1.0"), SERVED), "open"),
)  # fmt: skip

_UPGRADES = (
    Rule("upgrade-unknown", "An upgrade to what it does not know is not made.", "RFC 9110, 7.8", "must",
         (request("Connection: upgrade", "Upgrade: miracle/9"), _NOT_SWITCHED), "sound"),
    Rule("upgrade-ignored", "An upgrade to h2c is ignored.", "servebench", "ours",
         (request("Connection: upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"), SERVED), "open"),
    Rule("upgrade-with-body", "An upgrade offered with a body leaves the body whole.", "servebench", "ours",
         (sized(b"abc", "Connection: upgrade", "Upgrade: h2c"), echoed(b"abc")), "open"),
    Rule("upgrade-with-chunks", "An upgrade offered with chunks leaves them whole.", "servebench", "ours",
         (post("Connection: upgrade", "Upgrade: h2c", "Transfer-Encoding: chunked", body=CHUNKS), echoed(b"abc")), "open"),
    Rule("upgrade-http-1-0", "An upgrade offered in HTTP/1.0 is ignored.", "RFC 9110, 7.8", "must",
         (request("Connection: upgrade", "Upgrade: websocket", version="HTTP/1.0"), SERVED), "sound"),
)  # fmt: skip

RULES: tuple[Rule, ...] = (*_METHODS, *_EXPECTATIONS, *_UPGRADES)
