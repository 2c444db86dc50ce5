"""A fuzz target for the codec, driven by atheris (libFuzzer): `python tests/fuzzing.py [SECONDS]`, for ever without.

An input is a stream of bytes and how it is cut into reads: its first byte says how many cuts there are, two bytes each of the
next ones where. Whatever it is, the conversation must end by itself without an exception, answer in well-formed HTTP, serve the
same requests however the stream was cut, serve none that llhttp does not see in it, and keep to its limits.

libFuzzer looks for inputs that reach new code. What it finds wrong it leaves in the current folder as crash-…; give such a
file as an argument to see it again. Corpora grow in the folder named by FUZZ_CORPUS, or are forgotten.
"""

import logging
import os
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["servers"]):
    from servers.conversations.http1 import Limits

import seeds
from talking import App, Talk, answers, talk
from test_http1_splits import Oracle

CUTS_MOST = 7
SMALL = Limits(line_bytes=64, header_bytes=160, fields=6, body_bytes=50, keepalive_requests=3, linger_bytes=100)
WORDS = (
    *("GET /hello HTTP/1.1", "HEAD", "POST /echo", "OPTIONS * HTTP/1.1", "http://a/", "HTTP/1.0", "/slow", "/stream", "/raise"),
    *("Host: a", "Content-Length: 3", "Transfer-Encoding: chunked", "gzip, chunked", "Expect: 100-continue", "X: y"),
    *("Connection: close", "Connection: keep-alive", "Connection: upgrade", "Upgrade: h2c", "%2e", "%00", "[::1]", "/../"),
    *("3\\x0d\\x0aabc", "0\\x0d\\x0a\\x0d\\x0a", ";a=b", "\\x0d\\x0a", "\\x0d\\x0a\\x0d\\x0a", "\\x0a", "\\x0d"),
)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def one(data: bytes) -> None:
    """Hold the codec to its promises on one input."""
    count = data[0] % (CUTS_MOST + 1) if data else 0
    cuts = [int.from_bytes(data[1 + 2 * i : 3 + 2 * i], "little") for i in range(count)]
    stream = data[1 + 2 * count :]
    served = judged(stream, cuts, Limits())
    assert served == judged(stream, [], Limits()), "the cuts make a difference"
    if b"upgrade" not in stream.lower() and not seeds.BAD_SPACE.search(stream):
        seen = [(method, target, body) for method, target, _, body in served]
        assert seen == Oracle(stream).messages[: len(seen)], "a request that llhttp does not see"
    for _, target, fields, body in judged(stream, cuts, SMALL):
        assert len(target) <= SMALL.line_bytes
        assert len(fields) <= SMALL.fields
        assert sum(map(len, fields.values())) <= SMALL.header_bytes + SMALL.line_bytes
        assert len(body) <= SMALL.body_bytes


def judged(stream: bytes, cuts: list[int], limits: Limits) -> list[tuple[str, bytes, dict[bytes, bytes], bytes]]:
    """The requests served of a stream, whose answers are well-formed."""
    app = App()
    conversation = talk(*seeds.split(stream, cuts), app=app, limits=limits)
    assert conversation.ended
    assert well_formed(conversation, [request.method for request in app.requests])
    return [(request.method, request.target, request.fields, request.body) for request in app.requests]


def well_formed(conversation: Talk, methods: list[str]) -> bool:
    """An answer for each request, perhaps interim ones, and perhaps a refusal; that of a HEAD has no body."""
    sent = conversation.sent.replace(CONTINUE, b"")
    for refused in ("GET", "HEAD"):
        try:
            found = answers(sent, [*methods, refused])
        except AssertionError:
            continue
        return len(found) == len(methods) or (len(found) == len(methods) + 1 and found[-1].closes)
    return False


def encoded(stream: bytes, cuts: list[int]) -> bytes:
    """An input of this stream and these cuts."""
    return bytes([len(cuts)]) + b"".join(cut.to_bytes(2, "little") for cut in cuts) + stream


def main(arguments: list[str]) -> None:
    """Run the files that are named, or fuzz."""
    logging.disable()  # of handlers that fail on purpose
    if arguments and not arguments[0].isdigit():
        atheris.Setup([sys.argv[0], *arguments], one)
        atheris.Fuzz()
        return
    with tempfile.TemporaryDirectory() as scratch:
        words = Path(scratch, "words")
        words.write_text("".join(f'"{word}"\n' for word in WORDS))
        corpus = Path(os.environ.get("FUZZ_CORPUS") or Path(scratch, "corpus"))
        corpus.mkdir(exist_ok=True)
        for i, stream in enumerate([*seeds.ALL, *seeds.some_bitten(100)]):
            if len(stream) < 4096:
                (corpus / f"seed-{i}").write_bytes(encoded(stream, [len(stream) // 3, len(stream) // 2] if i % 2 else []))
        seconds = [f"-max_total_time={arguments[0]}"] if arguments else []
        flags = ["-max_len=4096", "-timeout=20", "-rss_limit_mb=1024", "-print_final_stats=1", f"-dict={words}", *seconds]
        atheris.Setup([sys.argv[0], *flags, str(corpus)], one)
        atheris.Fuzz()  # does not return


if __name__ == "__main__":
    main(sys.argv[1:])
