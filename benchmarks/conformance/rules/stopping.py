"""How a server ends: what is under way or queued at SIGTERM is served, and then everything is over.

Each rule has a server of its own. Where nothing may be lost the linger time is long and the clients speak at once, so that a
busy machine breaks no rule: a server that is well ends long before.
"""

import collections
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import psutil

from benchmarks.conformance.crowd import Crowd, Member, room_for
from benchmarks.conformance.rule import Answer, Broken, Rule, Settings, Unfit
from benchmarks.conformance.rules._requests import CLOSE, HELLO_BODY, SERVED, request
from benchmarks.conformance.subjects import Running
from benchmarks.conformance.wire import Client

REQUESTS = 1000
SERVED_BEFORE, THINKING, HALF_SAID = 250, 40, 250  # of those; the others have connected and are silent
HOLDERS = 100  # of the silent ones come before all others that are not served yet
BEHIND = 200  # clients that have asked already, behind silent ones
JOIN_S = 10.0
NOTICE_S = 0.2  # for a server to take note of a signal or of a request; nothing depends on its having done so
NOTICED_S = 5.0  # it has done so by then
LATE_CROWDS, LATE_EACH = 6, 10  # after SIGTERM
END_S = 10.0  # for what a server that is well does at once

HELLO = request()
HALF = len(HELLO) // 2
THINK, THINK_LONG, THINK_LONGER, THINK_FOR_EVER = (request(target=f"/wait/{ms}") for ms in (200, 1000, 3000, 60_000))
LARGE_BYTES = 1 << 26
LARGE = request(target=f"/bytes/{LARGE_BYTES}")

PATIENT = Settings(idle_s=30, head_s=30, linger_s=10, drain_s=60)
ENDLESS = Settings(idle_s=60, head_s=60, linger_s=60, drain_s=60)
LINGERING = Settings(idle_s=30, head_s=30, linger_s=0.5, drain_s=20)
CROWDED = Settings(idle_s=30, head_s=30, linger_s=0.5, drain_s=20, connections=40, workers=16, threads=40)
BRIEF = Settings(idle_s=30, head_s=30, linger_s=0.5, drain_s=1)


# ---------------------------------------------------------------- nothing is lost


def drain(running: Running) -> None:
    """A thousand clients: served and idle, silent, in the middle of a head, waiting for an answer; most may be queued."""
    size = room_for(REQUESTS)
    most, queue = running.max_connections, int(Path("/proc/sys/net/core/somaxconn").read_text(encoding="ascii"))
    if most is not None and most + queue < size:
        raise Unfit(f"the kernel queues {queue} clients at most (net.core.somaxconn), and {size} are to be queued or served")
    served = min(SERVED_BEFORE, (most or 2 * SERVED_BEFORE) // 2)
    silent = size - served - THINKING - HALF_SAID - HOLDERS
    with ExitStack() as stack:

        def connect(count: int, says: bytes) -> Crowd:
            crowd = stack.enter_context(Crowd(running.port, count))
            if (fates := crowd.join(JOIN_S))["waiting"] < count:
                raise Broken(f"let only {fates['waiting']} of {count} clients connect")
            crowd.say(says)
            return crowd

        idle = connect(served, HELLO)
        idle.hear(END_S)
        _none_lost([(idle, HELLO)], "before SIGTERM, ")
        holders, half, thinking = connect(HOLDERS, b""), connect(HALF_SAID, HELLO[:HALF]), connect(THINKING, THINK)
        late = connect(silent, b"")
        time.sleep(NOTICE_S)
        running.signal()
        half.say(HELLO[HALF:])
        time.sleep(NOTICE_S)
        for crowd in (holders, idle, late):
            crowd.say(HELLO)
        _hear((idle, holders, half, thinking, late))
        _none_lost([(idle, HELLO), (holders, HELLO), (half, HELLO), (thinking, THINK), (late, HELLO)])


def _hear(crowds: Sequence[Crowd]) -> None:
    """Wait until each one has its answer, or 2 * END_S have brought nobody one: a server may be slow, on a busy machine."""
    before, fates = None, [crowd.fates() for crowd in crowds]
    while fates != before:
        before, ends_s = fates, time.monotonic() + 2 * END_S
        fates = [crowd.hear(max(0.1, ends_s - time.monotonic())) for crowd in crowds]


def _none_lost(crowds: Iterable[tuple[Crowd, bytes]], when: str = "") -> None:
    """Each client has its answer. Raises Broken, which says how many were lost and how."""
    members = [(member, said) for crowd, said in crowds for member in crowd.members]
    lost = [(member, said) for member, said in members if not _served(member, said)]
    if lost:
        ways = collections.Counter(_way(member) for member, _ in lost)
        told = ", ".join(f"{count} {way}" for way, count in ways.most_common())
        first, said = lost[0]
        raise Broken(f"{when}lost {len(lost)} of {len(members)} requests: {told}", said, bytes(first.heard[:1000]))


def _served(member: Member, said: bytes) -> bool:
    return member.status == 200 and (said != HELLO or member.heard.endswith(HELLO_BODY))


def _way(member: Member) -> str:
    inside = " inside the answer" if member.heard else ""
    return {
        "connecting": "never connected",
        "waiting": f"met with silence{inside}",
        "answered": f"answered {member.status}",
        "ended": f"closed{inside or ' without an answer'}",
        "reset": f"reset{inside}",
        "refused": "refused",
    }[member.fate]


def held(running: Running) -> None:
    """Silent clients have all the room there is, and go only when the linger time is over; others have asked behind them."""
    with Crowd(running.port, HOLDERS) as holders, Crowd(running.port, BEHIND) as behind:
        holders.join(JOIN_S)
        behind.join(JOIN_S)
        behind.say(HELLO)
        time.sleep(NOTICE_S)
        running.signal()
        behind.hear(2 * END_S)
        _none_lost([(behind, HELLO)])
    _ends(running)


def begun(running: Running) -> None:
    """Half a head and half a body within the linger time, the rest after it."""
    head = request("Content-Length: 4", target="/echo", method="POST")
    with running.connect(END_S) as first, running.connect(END_S) as second:
        first.play((HELLO, SERVED))
        running.signal()
        first.send(HELLO[:HALF])
        second.send(head + b"ab")
        time.sleep(3 * (running.settings.linger_s or 0))
        first.play((HELLO[HALF:], SERVED))
        second.play((b"cd", Answer((200,), b"abcd")))


def pipelined(running: Running) -> None:
    """Two requests at once, and after SIGTERM a third: answered, or told by the one before that it will not be."""
    with running.connect(END_S) as client:
        client.send(THINK_LONG + HELLO)
        time.sleep(NOTICE_S)
        running.signal()
        time.sleep(NOTICE_S)
        client.send(HELLO)
        client.expect(Answer((200,)))
        second = client.expect(SERVED)
        if not second.closes:
            client.expect(SERVED)


def large(running: Running) -> None:
    """A response that the client takes its time to read, past the linger time."""
    with running.connect(END_S) as client:
        client.send(LARGE)
        client.more()
        running.signal()
        time.sleep(2 * (running.settings.linger_s or 0))
        if (found := len(client.expect(Answer((200,))).body)) != LARGE_BYTES:
            raise client.broken(f"sent a body of {found} bytes, not {LARGE_BYTES}")


# ---------------------------------------------------------------- and everything ends


def says_close(running: Running) -> None:
    """On the answer to a request under way, and to one that comes within the linger time."""
    with running.connect(END_S) as idle, running.connect(END_S) as busy:
        idle.play((HELLO, SERVED))
        busy.send(THINK_LONGER)  # a parent of many workers may take a while to tell them all
        time.sleep(NOTICE_S)
        running.signal()
        if not _told(idle):
            raise idle.broken("ended the connection without an answer that says so")
        idle.ends()
        busy.play((Answer((200,), fields=(("Connection", CLOSE),)),), ends="closed")


def _told(client: Client) -> bool:
    """Ask until the server has noticed the stop: whether an answer says so, rather than the end of the connection.

    Raises Broken.
    """
    ends_s = time.monotonic() + NOTICED_S
    while time.monotonic() < ends_s:
        client.send(HELLO)
        found = client.expect_or_end(SERVED)
        if found is None or found.closes:
            return found is not None
        time.sleep(0.02)
    raise client.broken(f"answers as ever {NOTICED_S:g} s after SIGTERM")


def exits(running: Running) -> None:
    """With 0, and nothing on stderr that looks like a bug."""
    with running.connect() as client:
        client.play((HELLO, SERVED))
    running.signal()
    _ends(running)


def releases_idle(running: Running) -> None:
    """Long before the drain is over: one that has been served, and one that has never spoken."""
    with running.connect(END_S) as idle, running.connect(END_S):
        idle.play((HELLO, SERVED))
        running.signal()
        idle.ends()
        _ends(running)


def cuts(running: Running) -> None:
    """Whoever is not done when the drain time is over: an endless request, half a head, a client that does not read."""
    with running.connect(END_S) as busy, running.connect(END_S) as half, running.connect(END_S) as stuck:
        busy.send(THINK_FOR_EVER)
        half.send(HELLO[:HALF])
        stuck.send(LARGE)
        stuck.more()
        time.sleep(NOTICE_S)
        running.signal()
        _ends(running)
        for client in (busy, half):
            client.ends()


def ends_at_once(running: Running) -> None:
    """At the second signal, whatever is under way, with all its processes."""
    family = running.family()
    with running.connect() as busy, running.connect(END_S) as witness:
        busy.send(THINK_FOR_EVER)
        witness.play((HELLO, SERVED))
        running.signal()
        _told(witness)
        if running.status(0) is not None:
            raise Broken("ended at the first signal, with a request under way")
        running.signal()
        if running.status(END_S) is None:
            raise Broken(f"went on for {END_S:g} s after the second signal")
        _, left = psutil.wait_procs(family, END_S)
        if left:
            raise Broken(f"left {len(left)} processes behind after the second signal")


def newcomers(running: Running) -> None:
    """Whoever connects after SIGTERM: served, refused or reset, but never left to wait beyond the drain."""
    with ExitStack() as stack:
        busy = stack.enter_context(running.connect(END_S))
        busy.send(THINK_LONG)
        time.sleep(NOTICE_S)
        running.signal()
        late = []
        for _ in range(LATE_CROWDS):
            late.append(stack.enter_context(Crowd(running.port, LATE_EACH)))
            late[-1].say(HELLO)
            time.sleep(NOTICE_S)
        busy.expect(Answer((200,)))
        ends_s = time.monotonic() + (running.settings.drain_s or 0) + END_S
        hung = sum(
            crowd.hear(max(0.1, ends_s - time.monotonic()))[fate] for crowd in late for fate in ("connecting", "waiting")
        )
        if hung:
            raise Broken(f"left {hung} of {LATE_CROWDS * LATE_EACH} clients waiting that connected after SIGTERM", HELLO)
        _ends(running)


def _ends(running: Running) -> None:
    """By itself, with 0 and no traceback. Raises Broken."""
    within_s = (running.settings.drain_s or 0) + END_S
    status = running.status(within_s)
    if status is None:
        raise Broken(f"still runs {within_s:g} s after SIGTERM")
    if status != 0:
        raise Broken(f"ended with status {status}, not 0")
    if "Traceback" in (said := running.said()):
        raise Broken(f"said on stderr: {said[-500:]}")


RULES: tuple[Rule, ...] = (
    Rule("drain", "of 1,000 requests on connections opened or queued before SIGTERM, sent within the linger time, none is lost",
         "servebench", "ours", drain, settings=PATIENT, alone=True),
    Rule("drain-held", "clients queued behind silent ones are served when those are released at the end of the linger time",
         "servebench", "ours", held, settings=CROWDED, alone=True),
    Rule("drain-begun", "requests that have begun within the linger time are served, though their rest comes after it",
         "servebench", "ours", begun, settings=LINGERING, alone=True),
    Rule("drain-pipelined", "requests sent together before SIGTERM are all answered, a later one is answered or disclaimed",
         "RFC 9112, 9.6", "ours", pipelined, settings=PATIENT, alone=True),
    Rule("drain-large", "a response under way at SIGTERM arrives whole, however slowly it is read within the drain",
         "servebench", "ours", large, settings=LINGERING, alone=True),
    Rule("stop-says-close", "answers after SIGTERM say Connection: close, and their connections are closed",
         "RFC 9112, 9.6", "ours", says_close, settings=PATIENT, alone=True),
    Rule("stop-exits", "a server that is idle ends soon after SIGTERM, with status 0",
         "servebench", "ours", exits, settings=LINGERING, alone=True),
    Rule("stop-releases-idle", "idle connections are closed when the linger time is over, and the server ends",
         "servebench", "ours", releases_idle, settings=LINGERING, alone=True),
    Rule("stop-cuts", "when the drain time is over what is left is cut, and the server ends with status 0",
         "servebench", "ours", cuts, settings=BRIEF, alone=True),
    Rule("stop-second-signal", "a second signal ends it at once",
         "servebench", "ours", ends_at_once, settings=ENDLESS, alone=True),
    Rule("stop-newcomers", "whoever connects after SIGTERM is served, refused or reset, and not left waiting",
         "servebench", "ours", newcomers, settings=LINGERING, alone=True),
)  # fmt: skip
