"""Request targets: their forms, their escapes, and where they lead."""

from benchmarks.conformance.rule import Answer, Rule
from benchmarks.conformance.rules._requests import BAD, SERVED, refused, request

_TARGET = "RFC 9112, 3.2"
_BAD_TARGET = refused(301, 400)
_INJECTED = Answer((400, 404), lacks=("Injected",))

RULES: tuple[Rule, ...] = (
    Rule("absolute-form", "A target in absolute form is served.", "RFC 9112, 3.2.2", "must",
         (request(target="http://a/hello"), SERVED), "sound"),
    Rule("absolute-form-other-host", "An absolute target counts, whatever Host says.", "RFC 9112, 3.2.2", "must",
         (request("Host: elsewhere:81", target="http://a/hello", host=False), SERVED), "sound"),
    Rule("absolute-form-scheme-case", "The scheme of an absolute target is read in any case.", "RFC 9110, 4.2.3", "must",
         (request(target="HTTP://a/hello"), SERVED), "sound"),
    Rule("absolute-form-no-path", "An absolute target without a path is the root.", "servebench", "ours",
         (request(target="http://a?b=/hello"), refused(404)), "open"),
    Rule("asterisk", "OPTIONS * is answered for the server as a whole.", "servebench", "ours",
         (request(target="*", method="OPTIONS"), Answer((200, 204), fields=(("Allow", ".*GET.*"),))), "open"),
    Rule("asterisk-for-get", "The asterisk is for OPTIONS alone.", "servebench", "ours",
         (request(target="*"), BAD), "over"),
    Rule("query", "A query does not change the route.", "servebench", "ours",
         (request(target="/hello?a=b&c"), SERVED), "open"),
    Rule("escapes", "Escapes of letters stand for the letters, in either case.", "RFC 9110, 4.2.3", "should",
         (request(target="/%68e%6C%6co"), SERVED), "sound"),
    Rule("escapes-once", "Escapes are decoded once, not twice.", "RFC 3986, 2.4", "must",
         (request(target="/%2568ello"), refused(400, 404)), "sound"),
    Rule("escapes-of-question-mark", "An escaped question mark begins no query.", "RFC 3986, 2.2", "must",
         (request(target="/hello%3Fa"), refused(400, 404)), "sound"),
    Rule("escapes-malformed", "A % that escapes nothing leads nowhere.", "servebench", "ours",
         (request(target="/hello%zz"), refused(400, 404))),
    Rule("escapes-nul", "A path is not cut off at an escaped NUL.", "servebench", "ours",
         (request(target="/hello%00"), refused(400, 404))),
    Rule("dot-segment", "A segment of one dot is removed.", "servebench", "ours",
         (request(target="/./hello"), SERVED), "open"),
    Rule("dot-segments", "A segment of two dots removes the one before it.", "servebench", "ours",
         (request(target="/a/b/../../hello"), SERVED), "open"),
    Rule("dot-segments-above-root", "Two dots do not lead above the root.", "servebench", "ours",
         (request(target="/../../hello"), SERVED), "open"),
    Rule("dots-in-names", "Dots inside a segment are part of its name.", "RFC 3986, 5.2.4", "must",
         (request(target="/a../hello"), refused(404)), "sound"),
    Rule("target-with-space", "A target with a space is refused or redirected, not guessed.", _TARGET, "should",
         (request(target="/a b"), _BAD_TARGET), "over"),
    Rule("target-with-fragment", "A target with a fragment is refused.", _TARGET, "should",
         (request(target="/hello#top"), _BAD_TARGET), "over"),
    Rule("target-relative", "A target that does not begin with a slash is refused.", _TARGET, "should",
         (request(target="hello"), _BAD_TARGET), "over"),
    Rule("target-high-bytes", "A target with bytes above 127 is refused.", _TARGET, "should",
         (request(target="/hello?\xe4"), _BAD_TARGET), "over"),
    Rule("target-nul", "A target with NUL is refused.", _TARGET, "should",
         (request(target="/hello?\0"), _BAD_TARGET), "over"),
    Rule("target-control", "A target with control characters is refused.", _TARGET, "should",
         (request(target="/hello?\x01\x7f"), _BAD_TARGET), "over"),
    Rule("target-injection", "Escaped line ends in a target reach no header of the answer.", "RFC 9110, 5.5", "must",
         (request(target="/smuggled%0d%0aInjected:%20yes"), _INJECTED), "sound"),
)  # fmt: skip
