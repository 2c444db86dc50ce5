"""Responses: what every one of them has to have."""

from benchmarks.conformance.rule import Answer, Rule
from benchmarks.conformance.rules._exchanges import answers_as_1_1, in_order, tells_the_time
from benchmarks.conformance.rules._requests import HELLO_BODY, dated, post, request, sized

_DATE = "RFC 9110, 6.6.1"
_LENGTH = (("Content-Length", "[0-9]+"),)


def _sized(*statuses: int, length: str = "[0-9]+") -> Answer:
    return Answer(statuses, fields=(("Content-Length", length),), lacks=("Transfer-Encoding",))


RULES: tuple[Rule, ...] = (
    Rule("date", "An answer has a Date in the one form that is to be sent.", _DATE, "must",
         (request(), dated(200)), "sound"),
    Rule("date-now", "Date tells the time.", _DATE, "should",
         tells_the_time),
    Rule("date-head", "The answer to HEAD has a Date.", _DATE, "must",
         (request(method="HEAD"), dated(200, to_head=True)), "sound"),
    Rule("date-pipeline", "Every one of several answers has a Date.", _DATE, "must",
         in_order((request(), dated(200)), (request(target="/bytes/10"), dated(200)), (sized(b"a"), dated(200)))),
    Rule("date-404", "404 has a Date.", _DATE, "must",
         (request(target="/nothing"), dated(404)), "sound"),
    Rule("date-400", "What is said to a missing Host has a Date.", _DATE, "must",
         (request(host=False), dated(200, 400)), "sound"),
    Rule("date-400-line", "400 for what is no method has a Date.", _DATE, "must",
         (request(method="G@T"), dated(400, 405)), "sound"),
    Rule("date-400-body", "What is said to a malformed chunk has a Date.", _DATE, "must",
         (post("Transfer-Encoding: chunked", body=b"x\r\n\r\n"), dated(200, 400, 413)), "sound"),
    Rule("date-501", "501 has a Date, too.", "servebench", "ours",
         (request(method="BREW"), dated(501)), "over"),
    Rule("answer-length", "An answer whose size is known says it.", "RFC 9110, 8.6", "should",
         (request(), Answer((200,), HELLO_BODY, fields=(("Content-Length", "13"),))), "sound"),
    Rule("answer-length-empty", "An empty answer says so.", "servebench", "ours",
         (sized(b""), _sized(200, length="0")), "open"),
    Rule("answer-length-404", "404 says its length.", "servebench", "ours",
         (request(target="/nothing"), _sized(404)), "open"),
    Rule("answer-length-400", "400 says its length.", "servebench", "ours",
         (request(host=False), _sized(400)), "over"),
    Rule("answer-length-large", "A large answer says its length before it is made.", "servebench", "ours",
         (request(target="/bytes/1000000"), _sized(200, length="1000000")), "open"),
    Rule("answer-bytes", "All bytes of an answer arrive as they are.", "RFC 9112, 6", "must",
         (request(target="/bytes/100000"), Answer((200,), bytes(range(256)) * 390 + bytes(range(160)))), "sound"),
    Rule("answer-empty", "An answer may be empty.", "RFC 9112, 6", "must",
         (request(target="/bytes/0"), Answer((200,), b"")), "sound"),
    Rule("answer-type", "An answer says the type of its body.", "RFC 9110, 8.3", "should",
         (request(), Answer((200,), HELLO_BODY, fields=(("Content-Type", "[^/]+/[^/]+"),))), "sound"),
    Rule("answer-type-echoed", "A body is echoed as the type it was declared to be.", "servebench", "ours",
         (sized(b"{}", "Content-Type: application/json"),
          Answer((200,), b"{}", fields=(("Content-Type", "application/json"),))), "open"),
    Rule("answer-version", "A server answers with its own version, also to HTTP/1.0.", "RFC 9110, 2.5", "should",
         answers_as_1_1),
)  # fmt: skip
