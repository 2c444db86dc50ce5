"""HTTP/1.1 rule by rule, as data: these bytes are served, served and closed after, or refused with this status."""

import pytest
from talking import HELLO, App, answers, chunked, get, only, post, talk

from servers.conversations.messages import Request

HELLO_CLOSE = get("Connection: close")

SERVED = {
    "plain": get(),
    "HEAD": get(method="HEAD"),
    "DELETE is for the application to judge": get(method="DELETE"),
    "lower-case field names": get("host: a", host=False),
    "host with port": get("Host: example.org:8080", host=False),
    "host is an IPv6 address": get("Host: [::1]:80", host=False),
    "host is an IPv6 address with an IPv4 one in it": get("Host: [::ffff:127.0.0.1]", host=False),
    "host is an address of the future": get("Host: [v1.a:b]", host=False),
    "empty host": get("Host:", host=False),
    "absolute form": get(target="http://a/hello"),
    "absolute form of HTTPS with a port and a query": get(target="HTTPS://a:81?x"),
    "absolute form with an IPv6 address": get(target="http://[::1]/hello"),
    "characters that URIs lack": get(target='/a"b|c^{d}?e=`f'),
    "a stray percent sign in the query": get(target="/hello?a=100%"),
    "asterisk form": get(target="*", method="OPTIONS"),
    "empty lines before": b"\r\n\r\n" + get(),
    "eight empty lines before": b"\r\n" * 8 + get(),
    "white space around a value": get("X: \t y \t"),
    "a later minor version": get(version="HTTP/1.9"),
    "upgrade offered": get("Connection: upgrade", "Upgrade: h2c"),
    "upgrade offered with a body": post("Connection: upgrade", "Upgrade: h2c", "Content-Length: 3", body=b"abc"),
    "upgrade offered with chunks": post("Connection: upgrade", "Upgrade: h2c", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "a stray Proxy-Connection": get("Proxy-Connection: close"),
    "Connection options that are not close": get("Connection: closed, x-close"),
    "keep-alive in HTTP/1.0": get("Connection: Keep-Alive", version="HTTP/1.0"),
    "body": post("Content-Length: 3", body=b"abc"),
    "empty body": post("Content-Length: 0"),
    "length with zeros before it": post("Content-Length: " + "0" * 5000 + "3", body=b"abc"),
    "GET with a body": get("Content-Length: 3") + b"abc",
    "chunks": chunked(b"3\r\nabc\r\n0\r\n\r\n"),
    "chunk sizes in capitals and with zeros": chunked(b"000A\r\n0123456789\r\n000\r\n\r\n"),
    "chunk extensions": chunked(b'3;a=b;c="d e"\r\nabc\r\n0;last\r\n\r\n'),
    "chunk extensions with white space": chunked(b'3 ; a\t= b ;\tc =\t"d"\r\nabc\r\n0 ;last\r\n\r\n'),
    "chunk extensions with escapes": chunked(b'3;a="\\"\\\\;\xff"\r\nabc\r\n0\r\n\r\n'),
    "chunk size with many zeros": chunked(b"0" * 50 + b"3\r\nabc\r\n0\r\n\r\n"),
    "trailer": chunked(b"3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n"),
    "Transfer-Encoding in capitals": post("Transfer-Encoding: CHUNKED", body=b"0\r\n\r\n"),
    "Transfer-Encoding in tabs": post("Transfer-Encoding: \tchunked\t \t", body=b"3\r\nabc\r\n0\r\n\r\n"),
    "Content-Length in tabs": post("Content-Length:\t3\t", body=b"abc"),
    "an expectation twice": post("Expect: 100-continue", "Expect: 100-Continue", "Content-Length: 0"),
    "an expectation in HTTP/1.0": get("Expect: miracles", "Connection: keep-alive", version="HTTP/1.0"),
}

SERVED_THEN_CLOSED = {
    "Connection: close": get("Connection: close"),
    "Connection: close among others": get("Connection: Foo, CLOSE"),
    "Connection: close in a second field": get("Connection: keep-alive", "Connection: close"),
    "HTTP/1.0": get(version="HTTP/1.0"),
    "HTTP/1.0 without Host": get(version="HTTP/1.0", host=False),
}

REFUSED = {
    "no Host": (400, get(host=False)),
    "two Hosts": (400, get("Host: a")),
    "two Hosts in HTTP/1.0": (400, get("Host: b", version="HTTP/1.0")),
    "two Hosts, the second empty": (400, get("Host:")),
    "two Hosts, both empty": (400, get("Host:", "Host:", host=False)),
    "Host with a space": (400, get("Host: a b", host=False)),
    "Host with a path": (400, get("Host: a/b", host=False)),
    "Host with a user": (400, get("Host: u@a", host=False)),
    "Host is no IPv6 address": (400, get("Host: [1::2::3]", host=False)),
    "Host is half an IPv6 address": (400, get("Host: [::1", host=False)),
    "Host with a port that is none": (400, get("Host: a:b", host=False)),
    "Host with a bad escape": (400, get("Host: a%zz", host=False)),
    "two spaces": (400, b"GET  /hello HTTP/1.1\r\nHost: a\r\n\r\n"),
    "two spaces before the version": (400, b"GET /hello  HTTP/1.1\r\nHost: a\r\n\r\n"),
    "space in the target": (400, b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    "tab for a space": (400, b"GET\t/hello HTTP/1.1\r\nHost: a\r\n\r\n"),
    "space after the version": (400, b"GET /hello HTTP/1.1 \r\nHost: a\r\n\r\n"),
    "space before the method": (400, b" GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"),
    "no version": (400, b"GET /hello\r\nHost: a\r\n\r\n"),
    "the version in a field": (400, b"GET /hello\r\nX: HTTP/1.1\r\nHost: a\r\n\r\n"),
    "the version in a field, after LF": (400, b"GET /hello\nX: HTTP/1.1\r\nHost: a\r\n\r\n"),
    "the version in a field, after CR": (400, b"GET /hello\rX: HTTP/1.1\r\nHost: a\r\n\r\n"),
    "no target": (400, b"GET HTTP/1.1\r\nHost: a\r\n\r\n"),
    "version in small letters": (400, get(version="http/1.1")),
    "version with two digits": (400, get(version="HTTP/1.10")),
    "LF before the request": (400, b"\n" + get()),
    "LF after empty lines": (400, b"\r\n\n" + get()),
    "nine empty lines before": (400, b"\r\n" * 9 + get()),
    "CR before the request": (400, b"\r" + get()),
    "another protocol": (400, get(version="ICE/1.1")),
    "relative target": (400, get(target="hello")),
    "asterisk for a GET": (400, get(target="*")),
    "more than an asterisk": (400, get(target="*?a", method="OPTIONS")),
    "absolute form without Host": (400, get(target="http://a/hello", host=False)),
    "absolute form without host": (400, get(target="http:///hello")),
    "absolute form with nothing in it": (400, get(target="http://")),
    "absolute form with a port only": (400, get(target="http://:80/")),
    "absolute form with a user": (400, get(target="http://u:p@a/hello")),
    "absolute form with half an address": (400, get(target="http://[::1/hello")),
    "absolute form with no IPv6 address": (400, get(target="http://[1::2::3]/hello")),
    "absolute form of another scheme": (400, get(target="ftp://a/hello")),
    "malformed escape": (400, get(target="/%zz")),
    "half an escape": (400, get(target="/hello%2")),
    "escaped NUL": (400, get(target="/hello%00")),
    "target with NUL": (400, get(target="/\0")),
    "target with high bytes": (400, get(target="/\xe4")),
    "fragment in the target": (400, get(target="/hello#top")),
    "HTTP/2 preface": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/2.0": (505, get(version="HTTP/2.0")),
    "HTTP/0.9": (505, get(version="HTTP/0.9")),
    "unknown method": (501, get(method="BREW")),
    "method in small letters": (501, get(method="get")),
    "CONNECT": (501, get(target="a:80", method="CONNECT")),
    "TRACE": (501, get(method="TRACE")),
    "method with a forbidden character": (400, get(method="G@T")),
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "space before the colon": (400, get("X : y")),
    "no colon": (400, get("X")),
    "no name": (400, get(": y")),
    "folded line": (400, get("X: y", " z")),
    "folded first line": (400, b"GET /hello HTTP/1.1\r\n Host: a\r\n\r\n"),
    "NUL in a value": (400, get("X: \0")),
    "control character in a value": (400, get("X: \x01")),
    "DEL in a value": (400, get("X: \x7f")),
    "form feed after a value": (400, get("X: y\x0c")),
    "CR at the end of a value": (400, get("X: y\r")),
    "CR before a value": (400, get("X: \ry")),
    "LF alone ends a head": (400, b"GET /hello HTTP/1.1\r\nHost: a\r\n\n"),
    "CR alone ends lines": (400, b"GET /hello HTTP/1.1\rHost: a\r\r"),
    "high byte in a name": (400, get("X\xe4: y")),
    "bracket in a name": (400, get("X(: y")),
    "folded by a tab": (400, get("X: y", "\tz")),
    "CR in a value": (400, get("X: y\rz")),
    "LF alone ends a field": (400, get("X: y\nZ: z")),
    "LF alone ends the request line": (400, b"GET /hello HTTP/1.1\nHost: a\r\n\r\n"),
    "signed length": (400, post("Content-Length: +3", body=b"abc")),
    "negative length": (400, post("Content-Length: -3", body=b"abc")),
    "empty length": (400, post("Content-Length:")),
    "lengths in a list": (400, post("Content-Length: 3, 3", body=b"abc")),
    "the same length twice": (400, post("Content-Length: 3", "Content-Length: 3", body=b"abc")),
    "length in hexadecimal": (400, post("Content-Length: 0x3", body=b"abc")),
    "length with a space in it": (400, post("Content-Length: 3 3", body=b"abc")),
    "length with an underscore": (400, post("Content-Length: 1_0", body=b"0123456789")),
    "length with a control character": (400, post("Content-Length: 3\x0c", body=b"abc")),
    "folded length": (400, post("Content-Length:", " 3", body=b"abc")),
    "two lengths": (400, post("Content-Length: 3", "Content-Length: 4", body=b"abcd")),
    "length beyond 64 bits": (400, post("Content-Length: 99999999999999999999")),
    "length and coding": (400, post("Content-Length: 3", "Transfer-Encoding: chunked", body=b"0\r\n\r\n")),
    "coding before length": (400, post("Transfer-Encoding: chunked", "Content-Length: 3", body=b"0\r\n\r\n")),
    "coding in tabs and a length": (400, post("Transfer-Encoding: chunked\t", "Content-Length: 3", body=b"0\r\n\r\n")),
    "coding in tabs and a folded line": (400, post("Transfer-Encoding: chunked\t", " ", body=b"0\r\n\r\n")),
    "coding in tabs and a lone CR": (400, post("Transfer-Encoding: chunked\t\r ", body=b"0\r\n\r\n")),
    "another coding in tabs": (400, post("Transfer-Encoding: gzip, chunked\t", body=b"0\r\n\r\n")),
    "no coding": (400, post("Transfer-Encoding:")),
    "chunked twice": (400, post("Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n")),
    "chunked in two fields": (400, post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=b"0\r\n\r\n")),
    "chunked, then identity": (400, post("Transfer-Encoding: chunked", "Transfer-Encoding: identity", body=b"0\r\n\r\n")),
    "no chunked": (400, post("Transfer-Encoding: xchunked", body=b"0\r\n\r\n")),
    "chunked behind a control character": (400, post("Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n")),
    "folded coding": (400, post("Transfer-Encoding:", " chunked", body=b"0\r\n\r\n")),
    "another coding with an upgrade": (400, post("Connection: upgrade", "Upgrade: x", "Transfer-Encoding: gzip")),
    "length and coding with an upgrade": (
        400,
        post("Connection: upgrade", "Upgrade: x", "Content-Length: 3", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    ),
    "coding in HTTP/1.0": (400, post("Transfer-Encoding: chunked", body=b"0\r\n\r\n", version="HTTP/1.0")),
    "coding that is not last": (400, post("Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n")),
    "another coding": (501, post("Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n")),
    "no length": (411, post()),
    "no length in HTTP/1.0": (411, post(version="HTTP/1.0")),
    "unknown expectation among known ones": (417, post("Expect: 100-continue, miracles", "Content-Length: 3", body=b"abc")),
    "unknown expectation": (417, post("Expect: miracles", "Content-Length: 3", body=b"abc")),
    "body too large": (413, post("Content-Length: 16777217")),
    "chunk too large": (413, chunked(b"1000001\r\n")),
    "chunk size with a sign": (400, chunked(b"+3\r\nabc\r\n0\r\n\r\n")),
    "chunk size with 0x": (400, chunked(b"0x3\r\nabc\r\n0\r\n\r\n")),
    "chunk size with an underscore": (400, chunked(b"0_3\r\nabc\r\n0\r\n\r\n")),
    "chunk size with a space": (400, chunked(b"3 \r\nabc\r\n0\r\n\r\n")),
    "chunk size after a space": (400, chunked(b" 3\r\nabc\r\n0\r\n\r\n")),
    "chunk size before a tab": (400, chunked(b"3\t\r\nabc\r\n0\r\n\r\n")),
    "chunk extension without name": (400, chunked(b"3;\r\nabc\r\n0\r\n\r\n")),
    "chunk extension with value only": (400, chunked(b"3;=b\r\nabc\r\n0\r\n\r\n")),
    "chunk extension with empty value": (400, chunked(b"3;a=\r\nabc\r\n0\r\n\r\n")),
    "chunk extension with an open quote": (400, chunked(b'3;a="b\r\nabc\r\n0\r\n\r\n')),
    "chunk extension with a line end in quotes": (400, chunked(b'3;a="\r\n"\r\nabc\r\n0\r\n\r\n')),
    "chunk extension with LF": (400, chunked(b"3;a\nb\r\nabc\r\n0\r\n\r\n")),
    "chunk extension with LF in quotes": (400, chunked(b'3;a="\n"\r\nabc\r\n0\r\n\r\n')),
    "chunk extension with an escaped LF": (400, chunked(b'3;a="\\\n"\r\nabc\r\n0\r\n\r\n')),
    "chunk extension with CR": (400, chunked(b"3;a\rb\r\nabc\r\n0\r\n\r\n")),
    "chunk extension with NUL": (400, chunked(b"3;a=\0\r\nabc\r\n0\r\n\r\n")),
    "chunk line that ends in CR CR LF": (400, chunked(b"3\r\r\nabc\r\n0\r\n\r\n")),
    "chunk data ended by LF": (400, chunked(b"3\r\nabc\n0\r\n\r\n")),
    "chunk size overflow": (400, chunked(b"fffffffffffffffff\r\n")),
    "no chunk size": (400, chunked(b"\r\nabc\r\n0\r\n\r\n")),
    "chunk ended by LF": (400, chunked(b"3\nabc\r\n0\r\n\r\n")),
    "chunk longer than it says": (400, chunked(b"3\r\nabcd\r\n0\r\n\r\n")),
    "bad trailer": (400, chunked(b"0\r\nX y\r\n\r\n")),
    "trailer with NUL": (400, chunked(b"0\r\nX: \0\r\n\r\n")),
    "trailer with LF": (400, chunked(b"0\r\nX: y\nZ: z\r\n\r\n")),
    "trailer with CR": (400, chunked(b"0\r\nX: y\rZ: z\r\n\r\n")),
    "trailer with a space before the colon": (400, chunked(b"0\r\nX : y\r\n\r\n")),
    "folded trailer": (400, chunked(b"0\r\nX: y\r\n z\r\n\r\n")),
    "trailer ended by LF": (400, chunked(b"0\r\n\n")),
    "coding in the trailer": (400, chunked(b"0\r\nTransfer-Encoding: chunked\r\n\r\n")),
    "many trailer fields": (431, chunked(b"0\r\n" + b"X: y\r\n" * 101 + b"\r\n")),
    "length in the trailer": (400, chunked(b"0\r\nContent-Length: 3\r\n\r\n")),
    "trailer too large": (431, chunked(b"0\r\n" + b"X: %b\r\n" % (b"y" * 2000) * 9 + b"\r\n")),
    "chunk line too long": (431, chunked(b"3;" + b"x" * 5000 + b"\r\nabc\r\n0\r\n\r\n")),
    "long request line": (414, get(target="/" + "x" * (8193 - len("GET / HTTP/1.1")))),
    "long field": (431, get("X: " + "y" * (16385 - len("Host: a\r\nX: \r\n")))),
    "long unfinished request line": (414, b"GET /" + b"x" * 9000),
    "long unfinished field": (431, get("X: " + "y" * 20000)[:-4]),
    "many fields": (431, get(*["X: y"] * 100)),
    "ends in the head": (400, b"GET /hello HTTP/1.1\r\nHost: a\r\n"),
    "ends in the body": (400, post("Content-Length: 3", body=b"ab")),
    "ends in a chunk": (400, chunked(b"3\r\nab")),
}


@pytest.mark.parametrize("received", SERVED.values(), ids=SERVED)
def test_served_and_kept_open(received: bytes) -> None:
    conversation = talk(received + HELLO_CLOSE)
    first, second = answers(conversation.sent, [received.lstrip().split(b" ")[0].decode()])
    assert first.status == 200
    assert not first.closes
    assert second.body == b"Hello, World!"


@pytest.mark.parametrize("received", SERVED_THEN_CLOSED.values(), ids=SERVED_THEN_CLOSED)
def test_served_then_closed(received: bytes) -> None:
    conversation = talk(received + HELLO, then_end=False)
    assert only(conversation).status == 200
    assert only(conversation).closes
    assert conversation.ended


@pytest.mark.parametrize(("status", "received"), REFUSED.values(), ids=REFUSED)
def test_refused(status: int, received: bytes) -> None:
    app = App()
    conversation = talk(received, app=app)
    assert only(conversation).status == status
    assert only(conversation).closes
    assert only(conversation).fields["content-type"] == "application/json"
    assert app.requests == []


@pytest.mark.parametrize(("status", "received"), REFUSED.values(), ids=REFUSED)
def test_answers_to_whole_requests_come_before_a_refusal(status: int, received: bytes) -> None:
    conversation = talk(HELLO + HELLO + received)
    assert [answer.status for answer in answers(conversation.sent)] == [200, 200, status]


@pytest.mark.parametrize(("status", "received"), REFUSED.values(), ids=REFUSED)
def test_refused_byte_by_byte(status: int, received: bytes) -> None:
    """Fewer bytes may tell less, but never something else than a refusal."""
    app = App()
    conversation = talk(*(received[i : i + 1] for i in range(len(received))), app=app)
    assert only(conversation).status in (status, 400)
    assert app.requests == []


# ---------------------------------------------------------------- what the application is given


def test_fields_have_small_names_and_trimmed_joined_values() -> None:
    app = App()
    talk(get("X-A:  1\t", "x-a: 2", "Y:"), app=app)
    assert app.requests[0].fields == {b"host": b"a", b"x-a": b"1, 2", b"y": b""}


def test_the_host_of_an_absolute_target_replaces_the_other() -> None:
    """RFC 9112, 3.2.2, and it does so again in the next request."""
    app = App()
    talk(get(target="http://b:81/hello") * 2 + get(), app=app)
    assert [request.fields[b"host"] for request in app.requests] == [b"b:81", b"b:81", b"a"]


def test_trailers_are_dropped() -> None:
    app = App()
    talk(chunked(b"1\r\nx\r\n0\r\nHost: evil\r\nX: y\r\n\r\n"), app=app)
    assert app.requests[0].body == b"x"
    assert app.requests[0].fields == {b"host": b"a", b"transfer-encoding": b"chunked"}


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/a/b?c=/d?e", "/a/b"),
        (b"/a%20b%2Fc", "/a b/c"),
        (b"/%C3%A4", "/ä"),
        (b"/%ff%zz", "/\ufffd%zz"),
        (b"http://h:80/a?b", "/a"),
        (b"http://h", "/"),
        (b"http://h?q=/x", "/"),
        (b"/a://b", "/a://b"),
        (b"//a/b", "//a/b"),
        (b"/a/../b", "/b"),
        (b"/a/b/c/./../../g", "/a/g"),
        (b"/a/./b/.", "/a/b/"),
        (b"/a/b/..", "/a/"),
        (b"/a//../b", "/a/b"),
        (b"/..", "/"),
        (b"/.", "/"),
        (b"/../../a", "/a"),
        (b"/.a/..b/c./d..", "/.a/..b/c./d.."),
        (b"/...", "/..."),
        (b"/a/%2e%2E/b", "/b"),
        (b"/a/.%2e/%2e/b", "/b"),
        (b"/a/%252e%252e/b", "/a/%2e%2e/b"),
        (b"/a/..%2Fb", "/a/../b"),
        (b"/a?b/../c", "/a"),
        (b"http://h/../a", "/a"),
        (b"http://h/%2e%2e", "/"),
        (b"*", "*"),
    ],
)
def test_path(target: bytes, path: str) -> None:
    assert Request("GET", target, 1, {}).path == path
