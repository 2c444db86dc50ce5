"""What a server survives: no descriptors left, resets, half-closed connections, crowds, clients that are slow both ways.

Each rule does its harm twice. The first time warms the server up: pools are filled, the heap has grown to what it takes. After
the second time it must hold as many descriptors and threads as before it and hardly more memory, must have said nothing of a
failure and lost no process, and serves on. Numbers shrink to what the server holds at once, and to the descriptors that this
process may have. What must happen is waited for, with a patience that a busy machine does not use up; what must not happen,
spinning, is looked for in the time for which its threads do not sleep.
"""

import contextlib
import resource
import socket
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import psutil

from benchmarks.conformance.crowd import Crowd, Fate, room_for
from benchmarks.conformance.health import Health, busiest_s, health, rested, runnable_s, settled
from benchmarks.conformance.rule import Answer, Broken, Rule, Settings, Unfit
from benchmarks.conformance.rules._requests import SERVED, chunked, post, request, single
from benchmarks.conformance.subjects import Running
from benchmarks.conformance.wire import Client

SLOW = 8  # readers, writers, and clients that wait
OTHERS = 20  # new connections that are served meanwhile

PATIENT_S = 10.0  # for what should come at once, on a machine that does a lot besides
LEAVES_S = 20.0  # for all that a fault has left behind to go away
HALF_OPEN_S = 5.0  # for the end of what can't be completed: at once, not at its deadline
LATE_S = 1.0  # deadlines may be that late
FLOOD_S = 60.0  # until all of a flood are served, at most
RECOVERS_S = 1.0  # from the first free descriptor until those who had to wait are served
ALLOWED_S = 2.0  # to a busy machine on top of that
LOOKS_S = 0.8  # for spinning,
LOOKS = 3  # times: one that spins does so in each
BUSY_SHARE = 0.6  # of the time that a thread runs or waits for a CPU, from which on one that has nothing to do spins
MEMORY_BYTES = 4 << 20  # more of it after the second time than after the first is a leak,
PROCESS_BYTES = 1 << 20  # or that much more for each further process: not all have warmed up equally
POOL_THREADS = 32  # of others, who may start the threads of a pool one by one, as they need them
LARGE_BYTES = 16 << 20
PER_READER_BYTES = 1 << 20
BIRTH_BYTES = 3 << 20  # of a process that was forked for a client: pages of its parent's that it has written to

HELLO = request()
LAST = request("Connection: close")
LARGE = request(target=f"/bytes/{LARGE_BYTES}")
PARTIAL = HELLO[:20]
BODY_HEAD = post("Content-Length: 100000")
OK = Answer((200,))
LARGE_CRC = zlib.crc32(bytes(range(256)) * (LARGE_BYTES // 256))

Fault = Callable[[Running], None]


# ---------------------------------------------------------------- twice, and then as before


def survives(fault: Fault, again: Fault | None = None) -> Fault:
    """The test of a fault: it, and it or `again` once more, after which the server must be as before."""

    def test(running: Running) -> None:
        try:
            examine(running)
        except psutil.AccessDenied:
            raise Unfit("its processes may not be looked into") from None
        except psutil.NoSuchProcess as gone:
            raise Broken(f"lost its process {gone.pid}") from None

    def examine(running: Running) -> None:
        pool = 0 if running.ours else POOL_THREADS
        serves(running)
        fresh, said = rested(running, 2.0), running.said()
        fault(running)
        before = settled(running, LEAVES_S, lambda now: not kept(fresh, now, pool))
        (again or fault)(running)
        after = settled(running, LEAVES_S, lambda now: not harm(before, now, pool))
        if found := harm(before, after, pool):
            raise Broken(found)
        serves(running)
        if news := complaint(running, said):
            raise Broken(f"said on stderr: {news}")

    return test


def kept(before: Health, after: Health, pool: int) -> list[str]:
    """What a server holds more of than before, but for so many threads of a pool."""
    found = []
    if after.descriptors > before.descriptors:
        found.append(f"{after.descriptors} descriptors, {before.descriptors} before")
    if after.threads > before.threads + pool:
        found.append(f"{after.threads} threads, {before.threads} before")
    return found


def harm(before: Health, after: Health, pool: int) -> str:
    """What it holds more, memory included, and how many of its processes have died, in words."""
    found, further = kept(before, after, pool), len(before.processes) - 1
    if after.memory_bytes - before.memory_bytes > MEMORY_BYTES + PROCESS_BYTES * further:
        found.append(f"{after.memory_bytes / 2**20:.1f} MiB of memory, {before.memory_bytes / 2**20:.1f} before")
    words = [f"holds {', '.join(found)}, {LEAVES_S:g} s after all clients have left"] if found else []
    if dead := before.processes - after.processes:
        words.append(f"lost {len(dead)} of its {len(before.processes)} processes")
    return ", and ".join(words)


def complaint(running: Running, said: str) -> str:
    """What it has said since: one of ours should not have said anything, and others no traceback."""
    news = running.said().removeprefix(said).strip()
    return news[-400:] if running.ours or "Traceback" in news else ""


def serves(running: Running, times: int = 1) -> None:
    """New clients are served, one after the other. Raises Broken."""
    for _ in range(times):
        with running.connect(PATIENT_S) as client:
            client.play((LAST, SERVED))


def room(running: Running, wanted: int) -> int:
    """As many of the wanted clients as it holds at once, and two more are served besides. (nginx lets go of some before.)"""
    most = running.max_connections
    if most is not None:
        wanted = min(wanted, most - max(2, 0 if running.ours else most // 10))
    if wanted < 1:
        raise Unfit(f"it holds {most} connections at once: nobody can be served besides")
    return room_for(wanted)


def sleeps(running: Running, while_what: str, looks_s: float | None = None) -> None:
    """Nothing is to be done for a while: a server that is busy all the time spins. Raises Broken.

    The kernel books a wait for a CPU when it is over, whenever it began, so one look alone may hold what was before it.
    """
    for _ in range(LOOKS):
        begins_s, before = time.monotonic(), runnable_s(running)
        time.sleep(LOOKS_S if looks_s is None else looks_s)
        took_s, busy_s = time.monotonic() - begins_s, busiest_s(before, runnable_s(running))
        if busy_s <= took_s * BUSY_SHARE:
            return
    raise Broken(f"had a thread that did not sleep for {busy_s:.2f} s within {took_s:.2f} s {while_what}")


def calm(running: Running) -> None:
    """Wait until it has done what there was to do; a server that never has spins."""
    ends_s = time.monotonic() + PATIENT_S
    while time.monotonic() < ends_s:
        before = runnable_s(running)
        time.sleep(0.2)
        if busiest_s(before, runnable_s(running)) < 0.2 * BUSY_SHARE:
            return


# ---------------------------------------------------------------- no descriptors


@contextlib.contextmanager
def without_descriptors(processes: Sequence[psutil.Process]) -> Iterator[None]:
    """No descriptor is to be had by these processes; those that are open stay so."""
    limits = [(process, process.rlimit(resource.RLIMIT_NOFILE)) for process in processes]
    try:
        for process, (_, hard) in limits:
            taken = {int(entry.name) for entry in Path(f"/proc/{process.pid}/fd").iterdir()}
            process.rlimit(resource.RLIMIT_NOFILE, (min(set(range(len(taken) + 1)) - taken), hard))
        yield
    finally:
        for process, limit in limits:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.rlimit(resource.RLIMIT_NOFILE, limit)


def descriptors(running: Running) -> None:
    """Twelve clients come while there are none; one that was there before is served on, and the others wait."""
    with ExitStack() as stack:
        old, *early = (stack.enter_context(running.connect(PATIENT_S)) for _ in range(min(4, running.max_connections or 4)))
        stays = False
        for client in (*early, old):  # every process has served somebody then, and needs no descriptor to begin with
            client.send(HELLO)
            stays = not client.expect(SERVED).closes
        for client in early:
            client.socket.close()
        rested(running, 2.0)  # processes that were for one client only are gone
        with without_descriptors(running.family()):
            late = stack.enter_context(Crowd(running.port, 12))
            late.join(PATIENT_S)
            late.say(LAST)
            sleeps(running, "without descriptors, while 12 clients waited to be let in")
            if stays:
                old.goes_on()
            begins_s = time.monotonic()
        old.socket.close()
        late.hear(PATIENT_S)
        took_s = time.monotonic() - begins_s
        all_answered(late, f"{took_s:.2f} s after descriptors were to be had again")
        if took_s > RECOVERS_S + ALLOWED_S:
            raise Broken(f"served those who had waited only {took_s:.2f} s after descriptors were to be had again")


def all_answered(crowd: Crowd, when: str) -> None:
    """Each one has its 200. Raises Broken."""
    if crowd.statuses()[200] < len(crowd.members):
        raise Broken(f"{when}, of {len(crowd.members)} clients: {told(crowd.fates(), crowd.statuses())}")


def told(fates: Counter[Fate], statuses: Counter[int] | None = None) -> str:
    """Fates in words."""
    words = [f"{count} {fate}" for fate, count in fates.most_common()]
    return ", ".join(words + [f"{count} of them with {status}" for status, count in (statuses or {}).items()])


# ---------------------------------------------------------------- resets


def resets(count: int, *doings: Callable[[Client], object]) -> Fault:
    """The test: so many clients do one of these things and then reset the connection. A quarter of that is enough again."""

    def fault(running: Running, count: int = count) -> None:
        for i in range(count):
            client = running.connect(PATIENT_S)
            doings[i % len(doings)](client)
            client.reset()
            if i % 50 == 49:
                serves(running)

    return survives(fault, lambda running: fault(running, count // 4))


def says(data: bytes) -> Callable[[Client], object]:
    """Send this."""
    return lambda client: client.send(data)


def hears(data: bytes) -> Callable[[Client], object]:
    """Send this, and receive what comes first."""
    return lambda client: client.send(data) and client.more()


def resets_in_the_queue(running: Running, count: int) -> None:
    """The server stands still while clients connect, some of them ask, and all reset: that is how it finds them."""
    for asked in (b"", PARTIAL, HELLO, BODY_HEAD):
        processes = running.family()
        try:
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):  # it was for one client only, who has left
                    process.suspend()
            with Crowd(running.port, room_for(count // 4)) as crowd:
                crowd.join(PATIENT_S)
                crowd.say(asked)
                crowd.reset()
        finally:
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()
        serves(running)


# ---------------------------------------------------------------- half-closed connections


def half_closed(*requests: bytes) -> Fault:
    """The test: whole requests and then FIN; the answers still come, and then the end."""

    def fault(running: Running) -> None:
        for asked in requests:
            with running.connect(PATIENT_S) as client:
                client.send(asked)
                client.half_close()
                client.expect(OK)
                client.ends()

    return survives(fault)


def cut_short(running: Running) -> None:
    """FIN in the middle of heads and bodies: nothing can come any more, so the server ends these connections."""
    for asked in (HELLO[:3], PARTIAL, BODY_HEAD, BODY_HEAD + bytes(1000), chunked(b""), chunked(b"5\r\nhe")):
        with running.connect(HALF_OPEN_S) as client:
            client.send(asked)
            client.half_close()
            while client.more():
                pass


def gone_while_waiting(running: Running) -> None:
    """The server waits for something else than the client when that one half-closes, resets, or asks for more."""
    kinds: tuple[Callable[[Client], object], ...] = (Client.half_close, Client.reset, says(HELLO))
    with ExitStack() as stack:
        clients = [stack.enter_context(running.connect(PATIENT_S)) for _ in range(room(running, SLOW))]
        for client in clients:
            client.send(request(target=f"/wait/{round(1000 * LOOKS_S * LOOKS) + 200}"))
        time.sleep(0.1)  # for the server to take note; the rule is the same if that takes longer
        for i, client in enumerate(clients):
            kinds[i % len(kinds)](client)
        sleeps(running, "while clients waited that had half-closed, reset or asked again")
        serves(running)
        for i, client in enumerate(clients):
            if i % len(kinds) != 1:
                client.expect(OK)


# ---------------------------------------------------------------- crowds


def partial_heads(running: Running, count: int) -> None:
    """Clients that have sent a part of a head; then the rest comes."""
    with Crowd(running.port, room(running, count)) as crowd:
        crowd.join(PATIENT_S)
        crowd.say(PARTIAL)
        serves(running, OTHERS)
        crowd.say(HELLO[len(PARTIAL) :])
        crowd.hear(PATIENT_S)
        all_answered(crowd, "after the rest of the head")


def idle(running: Running, count: int) -> None:
    """Clients that keep their connections open after a request."""
    size = left = room(running, count)
    with ExitStack() as stack:
        crowds = []
        while left:
            crowds.append(crowd := stack.enter_context(Crowd(running.port, min(left, 500))))
            left -= len(crowd.members)
            crowd.say(HELLO)
            crowd.hear(2 * PATIENT_S)
            all_answered(crowd, "while it filled up with idle connections")
        serves(running, OTHERS)
        calm(running)
        sleeps(running, f"while {size} connections were idle", LOOKS_S / 2)
        if (still := sum(crowd.see_off(0) for crowd in crowds)) < size:
            raise Broken(f"has ended {size - still} of {size} idle connections before their time")
        # They leave one crowd after the other: thousands of threads that end together are a fault of another kind.
        for crowd in crowds:
            if not leaves(running, crowd):
                break


def leaves(running: Running, crowd: Crowd) -> bool:
    """All of a crowd leave; whether the server lets go of them."""
    held = health(running).descriptors - len(crowd.members)
    crowd.close()
    return settled(running, LEAVES_S, lambda now: now.descriptors <= held).descriptors <= held


def beyond_the_limit(running: Running) -> None:
    """Twice as many clients as it holds, idle or with partial heads: the others wait, and are served as deadlines pass."""
    limit, idle_s = running.max_connections, running.settings.idle_s or 0.0
    if limit is None or limit > 500:
        raise Unfit("it has no limit of connections that it could be told")
    with (
        Crowd(running.port, room_for(limit)) as first,
        Crowd(running.port, limit) as second,
        Crowd(running.port, 4) as third,
    ):
        first.say(HELLO)
        second.say(PARTIAL)
        third.say(LAST)
        for crowd in (first, second, third):  # all have spoken before anybody waits
            crowd.join(PATIENT_S)
        held_s = 3 * (idle_s + LATE_S) + PATIENT_S
        first.hear(held_s)
        if running.ours and (soon := third.hear(idle_s / 4)["answered"]) and first.see_off(0) == limit:
            raise Broken(f"served {soon} more while it held the {limit} connections that it says are its most")
        for crowd in (first, third):
            fates = crowd.hear(held_s)
            if running.ours:
                all_answered(crowd, f"beyond its {limit} connections, within {held_s:g} s")
            elif fates["connecting"] + fates["waiting"]:
                raise Broken(f"beyond its {limit} connections, within {held_s:g} s: {told(fates)}")
        if still := first.see_off(held_s) + second.see_off(held_s):
            raise Broken(f"kept {still} of {2 * limit} connections open for {held_s:g} s, whose deadlines had passed")


def flood(running: Running, count: int) -> None:
    """More connects than it holds and the kernel queues; then all ask. Each is served or refused, and none waits for ever."""
    with Crowd(running.port, room_for(count)) as crowd:
        crowd.join(0.3)
        crowd.say(LAST)
        ends_s = time.monotonic() + FLOOD_S
        fates, before = crowd.hear(3 * PATIENT_S), None
        while fates != before and time.monotonic() < ends_s:  # a slow server is well as long as it goes on
            fates, before = crowd.hear(PATIENT_S), fates
        if running.ours:
            all_answered(crowd, f"in a flood, when {PATIENT_S:g} s had brought no answer")
        elif fates["connecting"] + fates["waiting"]:
            raise Broken(f"in a flood, when {PATIENT_S:g} s had brought no answer: {told(fates)}")


# ---------------------------------------------------------------- slow clients


def slow_readers(running: Running) -> None:
    """Clients that ask for much and then read nothing for a while: the server keeps little for them. Then they get it all."""
    before = health(running)
    with ExitStack() as stack:
        readers = [stack.enter_context(reader(running)) for _ in range(room(running, SLOW))]
        serves(running, OTHERS)
        calm(running)
        sleeps(running, "while clients did not read", LOOKS_S / 2)
        now = health(running)
        grown_bytes = now.memory_bytes - before.memory_bytes
        born = len(now.processes - before.processes)
        if grown_bytes > len(readers) * PER_READER_BYTES + born * BIRTH_BYTES + MEMORY_BYTES:
            raise Broken(f"has grown by {grown_bytes / 2**20:.1f} MiB for {len(readers)} clients that do not read")
        for client in readers:
            found = client.expect(OK)
            if (len(found.body), zlib.crc32(found.body)) != (LARGE_BYTES, LARGE_CRC):
                raise Broken(f"sent {len(found.body)} bytes that are not the {LARGE_BYTES} that were asked for")


def reader(running: Running) -> Client:
    """A client that has asked for much and reads nothing. Raises Broken when nothing comes."""
    client = running.connect(PATIENT_S)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    client.send(LARGE)
    if not client.is_readable(PATIENT_S):
        client.socket.close()
        raise client.broken(f"said nothing for {PATIENT_S:g} s")
    return client


def never_readers(running: Running) -> None:
    """The same, but they never read: they are cut off at the deadline of sending, and not before."""
    before, send_s = health(running), running.settings.send_s or 0.0
    with ExitStack() as stack:
        clients = [stack.enter_context(reader(running)) for _ in range(room(running, SLOW))]
        begins_s = time.monotonic()
        serves(running, OTHERS)
        while (held := health(running).descriptors - before.descriptors) > 0:
            took_s = time.monotonic() - begins_s
            if held < len(clients) and took_s < 0.8 * send_s:
                raise Broken(f"cut off a client after {took_s:.2f} s that it gives {send_s:g} s to read")
            if took_s > send_s + LATE_S + ALLOWED_S:
                whom = f"{len(clients)} clients that it gives {send_s:g} s to read"
                raise Broken(f"still holds {held} descriptors after {took_s:.2f} s for {whom}")
            time.sleep(0.05)


def slow_writers(running: Running) -> None:
    """Bodies that come a byte at a time."""
    body = b"abcdef" * 5
    with Crowd(running.port, room(running, SLOW)) as crowd:
        crowd.join(PATIENT_S)
        crowd.say(post(f"Content-Length: {len(body)}"))
        for i, byte in enumerate(single(body)):
            crowd.say(byte)
            time.sleep(0.02)
            if i % 5 == 0:
                serves(running)
        crowd.hear(PATIENT_S)
        all_answered(crowd, "after the last byte of the body")
        if others := [bytes(member.heard) for member in crowd.members if body not in member.heard]:
            raise Broken("echoed another body than it was sent", received=others[0])


# ---------------------------------------------------------------- the rules

LONG = Settings(idle_s=120, head_s=60, body_s=60)
BODY_PARTS = (says(BODY_HEAD + bytes(1000)), says(BODY_HEAD + bytes(70_000)), says(chunked(b"5\r\nhel")))
WHOLE = (hears(HELLO), says(HELLO), says(post("Content-Length: 50000", body=bytes(50_000))), hears(HELLO * 5))


def rules(resets_in_all: int = 1000, heads: int = 300, idles: int = 5000, floods: int = 5000) -> tuple[Rule, ...]:
    """The rules with so much of each."""
    n = resets_in_all

    def rule(name: str, sentence: str, test: Fault, settings: Settings = LONG) -> Rule:
        return Rule(name, sentence, "servebench", "ours", test, settings=settings, alone=True)

    return (
        rule("descriptors", "Without descriptors it lets nobody in, does not spin and serves on; with them it serves all.",
             survives(descriptors), Settings(workers=4, threads=4, idle_s=30)),
        rule("resets-early", f"{n:,} connections reset before or inside a head do no harm.",
             resets(n, says(b""), says(PARTIAL), says(BODY_HEAD))),
        rule("resets-in-bodies", f"{n:,} connections reset inside a request's body do no harm.", resets(n, *BODY_PARTS)),
        rule("resets-in-answers", f"{n:,} connections reset while they are answered do no harm.",
             resets(n, hears(LARGE), says(LARGE))),
        rule("resets-late", f"{n:,} connections reset after a request do no harm.", resets(n, *WHOLE)),
        rule("resets-in-queue", f"{n:,} connections reset before they are accepted do no harm.",
             survives(lambda running: resets_in_the_queue(running, n))),
        rule("half-closed", "A client that half-closes after its request is answered.",
             half_closed(HELLO, post("Content-Length: 5", body=b"hello"), chunked(b"5\r\nhello\r\n0\r\n\r\n"))),
        rule("half-closed-large", "A client that half-closes after its request gets all of a large answer.",
             half_closed(LARGE)),
        rule("half-closed-early", "A client that half-closes inside its request is let go at once.", survives(cut_short)),
        rule("gone-meanwhile", "A client that half-closes, resets or asks for more while it waits costs nothing meanwhile.",
             survives(gone_while_waiting)),
        rule("partial-heads", f"{heads:,} partial heads keep nobody else from being served.",
             survives(lambda running: partial_heads(running, heads))),
        rule("idle-connections", f"{idles:,} idle connections cost little and keep nobody else from being served.",
             survives(lambda running: idle(running, idles), lambda running: idle(running, idles // 5))),
        rule("beyond-limit", "Clients beyond the limit wait, and are served as deadlines pass.", survives(beyond_the_limit),
             Settings(connections=8, workers=8, threads=8, head_s=0.5, idle_s=0.5)),
        rule("flood", f"{floods:,} clients at once, more than are held and queued: each is served or refused.",
             survives(lambda running: flood(running, floods), lambda running: flood(running, floods // 10)),
             Settings(connections=64, workers=4, threads=4, idle_s=30)),
        rule("slow-readers", "Clients that do not read cost less than 1 MiB each and keep nobody else from being served.",
             survives(slow_readers)),
        rule("never-readers", "Clients that do not read at all are cut off.", survives(never_readers), Settings(send_s=1.0)),
        rule("slow-writers", "Bodies that trickle in keep nobody else from being served.", survives(slow_writers)),
    )  # fmt: skip


RULES = rules()
