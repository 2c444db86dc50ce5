"""Before any timing: the model answers the scenario's request, rightly, twice on one connection, and with everybody's bytes."""

import hashlib
import http.client
import time
from dataclasses import dataclass

from benchmarks.nouns import Scenario

_TIMEOUT_S = 10.0


class VerifyError(RuntimeError):
    """The model answered something else than it should; the message says what."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The verified answer. `digest` covers status line, headers but Date, and body."""

    body: bytes
    digest: str


def verify(host: str, port: int, scenario: Scenario) -> Answer:
    """Ask twice on a kept-alive connection. Raises VerifyError."""
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        first = _ask(connection, scenario)
        if connection.sock is None:
            raise VerifyError("the connection was closed after the first answer; every model must keep it alive")
        begins = time.monotonic()
        second = _ask(connection, scenario)
        if time.monotonic() - begins < scenario.wait_s - 0.0001:
            raise VerifyError(f"the answer came before the {scenario.wait_s * 1000:.0f} ms of waiting were over")
    except (OSError, http.client.HTTPException) as error:
        raise VerifyError(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()
    if first.digest != second.digest:
        raise VerifyError("two answers to the same request differ in more than their Date")
    return first


def same(answer: Answer, others: str, model: str) -> None:
    """Hold an answer against the other models'. Raises VerifyError when they differ."""
    if others and answer.digest != others:
        raise VerifyError(
            f"{model} answers other bytes than the models before it (digest {answer.digest[:12]}, theirs {others[:12]})"
        )


def settled(host: str, port: int, scenario: Scenario) -> bool:
    """Wait until a new connection is answered: whatever clients that have left had queued has been dealt with by then.

    A bounded model goes on serving the queue of a level after its clients have gone, and the next level would pay for it.
    False when that takes longer than 10 s.
    """
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        return bool(_ask(connection, scenario).digest)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _ask(connection: http.client.HTTPConnection, scenario: Scenario) -> Answer:
    request = scenario.request
    connection.request(request.method, request.path, request.body or None)
    response = connection.getresponse()
    body = response.read()
    if response.status != request.expect_status:
        raise VerifyError(f"{request.method} {request.path} was answered {response.status}, not {request.expect_status}")
    if request.expect_body is not None and body != request.expect_body:
        raise VerifyError(f"{request.method} {request.path} was answered {body[:80]!r}, not {request.expect_body[:80]!r}")
    if response.getheader("Date") is None:
        raise VerifyError("the response has no Date")
    lines = [f"{response.version} {response.status} {response.reason}"]
    lines += [f"{name}: {value}" for name, value in response.getheaders() if name.lower() != "date"]
    return Answer(body, hashlib.sha256("\r\n".join(lines).encode() + b"\r\n\r\n" + body).hexdigest())
