"""Before any timing: the model answers the scenario's requests, rightly, on one connection, and with everybody's bytes."""

import hashlib
import http.client
import time
from dataclasses import dataclass

from benchmarks.questions import Request, Scenario

_TIMEOUT_S = 10.0
_SETTLED_S = 60.0  # five thousand threads that end together take up to 25 s


class VerifyError(RuntimeError):
    """The model answered something else than it should; the message says what."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered, verified. `bodies` are those of the scenario's requests in their order, None where each one differs.

    `digest` covers status lines, headers but Date, and bodies; of an answer that differs each time the status line alone.
    """

    bodies: tuple[bytes | None, ...]
    digest: str


def verify(host: str, port: int, scenario: Scenario) -> Answer:
    """Prepare what the scenario needs, ask its request twice on a kept connection, then all others. Raises VerifyError."""
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        for request in scenario.prepare:
            _ask(connection, request)
        first = _ask(connection, scenario.request)
        if connection.sock is None and not scenario.prepare:
            raise VerifyError("the connection was closed after the first answer; every model must keep it alive")
        begins = time.monotonic()
        second = _ask(connection, scenario.request)
        if time.monotonic() - begins < scenario.wait_s - 0.0001:
            raise VerifyError(f"the answer came before the {scenario.wait_s * 1000:.0f} ms of waiting were over")
        if first != second:
            raise VerifyError("two answers to the same request differ in more than their Date")
        answers = [_ask(connection, request) for request in scenario.mix] or [first]
    except (OSError, http.client.HTTPException) as error:
        raise VerifyError(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()
    together = hashlib.sha256("".join(digest for _, digest in answers).encode()).hexdigest()
    return Answer(tuple(body for body, _ in answers), together)


def same(answer: Answer, others: str, model: str) -> None:
    """Hold an answer against the other models'. Raises VerifyError when they differ."""
    if others and answer.digest != others:
        raise VerifyError(
            f"{model} answers other bytes than the models before it (digest {answer.digest[:12]}, theirs {others[:12]})"
        )


def settled(host: str, port: int, scenario: Scenario) -> bool:
    """Wait until a new connection is answered: whatever clients that have left had queued has been dealt with by then.

    A bounded model goes on serving the queue of a level after its clients have gone, and the next level would pay for it.
    False when that takes longer than a minute.
    """
    connection = http.client.HTTPConnection(host, port, timeout=_SETTLED_S)
    try:
        return bool(_ask(connection, scenario.request))
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _ask(connection: http.client.HTTPConnection, request: Request) -> tuple[bytes | None, str]:
    """One exchange: the body, None where each differs, and the digest. Raises VerifyError."""
    connection.request(request.method, request.path, request.payload or None, dict(request.fields))
    response = connection.getresponse()
    body = response.read()
    if response.status not in (request.expect_status, request.also_status):
        raise VerifyError(f"{request.method} {request.path} was answered {response.status}, not {request.expect_status}")
    if request.expect_body is not None and body != request.expect_body:
        raise VerifyError(f"{request.method} {request.path} was answered {body[:80]!r}, not {request.expect_body[:80]!r}")
    if response.getheader("Date") is None:
        raise VerifyError("the response has no Date")
    lines = [] if request.also_status else [f"{response.version} {response.status} {response.reason}"]  # either is right
    if request.any_body:
        return None, hashlib.sha256("\r\n".join(lines).encode()).hexdigest()
    lines += [f"{name}: {value}" for name, value in response.getheaders() if name.lower() != "date"]
    return body, hashlib.sha256("\r\n".join(lines).encode() + b"\r\n\r\n" + body).hexdigest()
