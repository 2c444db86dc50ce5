"""Request lines and header sections: what is a request, and what must be refused."""

from benchmarks.conformance.rule import Rule
from benchmarks.conformance.rules._requests import SERVED, refused, request

RULES: tuple[Rule, ...] = (
    Rule("plain", "a request is answered, and the connection serves the next", "RFC 9112, 9.3", "must",
         (request(), SERVED), ends="open"),
    Rule("host-missing", "a request of HTTP/1.1 without Host is refused with 400", "RFC 9112, 3.2", "must",
         (request(host=False), refused(400))),
    Rule("host-missing-closes", "and the connection is closed", "servebench", "ours",
         (request(host=False), refused(400)), ends="closed"),
)  # fmt: skip
