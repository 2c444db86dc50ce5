"""The suite: a server is held to the rules of the parts that are asked for, each in the company that it needs.

Rules that ask for the same settings share a server, one after the other; those that wait for deadlines are tested side by side,
as each of them only waits. Rules that stop or hurt their server have one of their own.
"""

import collections
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from benchmarks.conformance.rule import Broken, Outcome, Report, Rule, Settings, Unfit, Verdict
from benchmarks.conformance.rules import PARTS
from benchmarks.conformance.subjects import Running, Subject
from benchmarks.launch import LaunchError

FAST = ("wire",)  # what the harness asks before any timing
SIDE_BY_SIDE = 8
HOPELESS = 8  # rules broken by silence, one after the other, after which the others are not asked
_NOT_STARTED = "it did not start"

Tell = Callable[[str], None]


def examine(
    subject: Subject,
    parts: Sequence[str] = tuple(PARTS),
    only: Iterable[str] = (),
    repeat: int = 1,
    tell: Tell = lambda _: None,
    enough: int = 0,
) -> Report:
    """Hold a server to the rules of these parts, or of those the ones named, each `repeat` times; the first failure counts.

    With `enough`, rules that follow so many broken ones of a server are not asked, and are not in the report.
    """
    begins, wanted = time.monotonic(), frozenset(only)
    rules = [rule for part in parts for rule in PARTS[part] if not wanted or rule.name in wanted]
    outcomes: dict[str, Outcome] = {}
    for _ in range(repeat):
        left = [rule for rule in rules if rule.name not in outcomes or outcomes[rule.name].verdict == "kept"]
        outcomes |= {outcome.rule: outcome for outcome in _once(subject, left, tell, enough)}
    ordered = [outcomes[rule.name] for rule in rules if rule.name in outcomes]
    not_started = next((one.saw for one in ordered if one.saw.startswith(_NOT_STARTED)), "")
    return Report(subject.name, list(parts), ordered, time.monotonic() - begins, subject.ours, not_started)


def _once(subject: Subject, rules: Sequence[Rule], tell: Tell, enough: int) -> list[Outcome]:
    about = [rule for rule in rules if rule.is_about(subject.name)]
    found = [outcome(rule, "unfit", f"it is about {' and '.join(rule.models)}") for rule in rules if rule not in about]
    for settings, group in _by_settings(rule for rule in about if not rule.alone).items():
        found += _together(subject, settings, group, tell, enough)
    for rule in about:
        if rule.alone:
            tell(rule.name)
            found += _together(subject, rule.settings, [rule], tell, enough)
    return found


def _by_settings(rules: Iterable[Rule]) -> Mapping[Settings, list[Rule]]:
    groups: dict[Settings, list[Rule]] = collections.defaultdict(list)
    for rule in rules:
        groups[rule.settings].append(rule)
    return groups


def _together(subject: Subject, settings: Settings, rules: Sequence[Rule], tell: Tell, enough: int) -> list[Outcome]:
    """All these on one server."""
    try:
        with subject.running(settings) as running:
            return _on(running, rules, tell, enough)
    except LaunchError as failure:
        said = f"; it said: {failure.stderr}" if failure.stderr else ""
        return [outcome(rule, "broken", f"{_NOT_STARTED}: {failure}{said}") for rule in rules]


def _on(running: Running, rules: Sequence[Rule], tell: Tell, enough: int) -> list[Outcome]:
    found: list[Outcome] = []
    silent = 0
    for rule in rules:
        if enough and sum(one.verdict == "broken" for one in found) >= enough:
            return found
        if rule.slow:
            continue
        tell(rule.name)
        if silent >= HOPELESS:
            found.append(outcome(rule, "broken", f"not asked any more: {HOPELESS} rules in a row met with silence"))
            continue
        found.append(test(running, rule))
        silent = silent + 1 if "said nothing for" in found[-1].saw else 0
    slow = [rule for rule in rules if rule.slow]
    if slow:
        tell(", ".join(rule.name for rule in slow))
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            found += pool.map(lambda rule: test(running, rule), slow)
    return found


def test(running: Running, rule: Rule) -> Outcome:
    """Hold a running server to one rule."""
    try:
        if callable(rule.test):
            rule.test(running)
        else:
            with running.connect() as client:
                client.play(rule.test, rule.ends)
    except Broken as broken:
        return outcome(rule, "broken", broken.saw, broken.sent, broken.received)
    except Unfit as unfit:
        return outcome(rule, "unfit", str(unfit))
    except OSError as failure:
        return outcome(rule, "broken", f"could not be reached: {failure.strerror or failure}")
    return outcome(rule, "kept")


def outcome(rule: Rule, verdict: Verdict, saw: str = "", sent: bytes = b"", received: bytes = b"") -> Outcome:
    """An outcome of a rule, its bytes escaped."""
    return Outcome(rule.name, verdict, rule.strength, rule.says, rule.source, saw, escaped(sent), escaped(received))


def escaped(data: bytes) -> str:
    """Bytes as Python writes them, without the quotes."""
    return repr(data)[2:-1]
