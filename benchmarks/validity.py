"""Is this number believable? Checks over recorded facts, each of which says what it saw, why it matters, what to do.

A check is a function from the facts of one window to a Finding or None, and `CHECKS` is the list of them: to add one, write
it in `benchmarks.checks` and name it there. Its severity says what a finding does. A **strike**: the number is not what it
claims to be; it is shown struck out and never ranked. A **mark** qualifies a number: true, but read it with this. A **note** is
worth knowing.

The faults are those that published benchmarks contain: generator-bound results (Tene, "How NOT to Measure Latency"), failed
requests counted as served, keep-alive that reconnected each time, books that do not balance. A visit that was disturbed from
outside is made again; if no attempt was quiet, its numbers are marked.
"""

import collections
from collections.abc import Iterable, Sequence
from dataclasses import replace

from benchmarks.amounts import digits, percent
from benchmarks.checks.books import bookkeeping, few_dominate, histograms_disagree, littles_law
from benchmarks.checks.ceilings import wait_ceiling, work_ceiling
from benchmarks.checks.companions import companions
from benchmarks.checks.engine import engine_saturated, lost_gaps
from benchmarks.checks.facts import Check, Facts
from benchmarks.checks.service import (
    OVERLOADED,
    OVERLOADED_AT_TIMES,
    collecting,
    drift,
    more_connections_than_slots,
    no_free_connection,
    nothing_served,
    overloaded,
    starving,
    unfinished_requests,
)
from benchmarks.checks.wire import errors_seen, reconnects, reuse, stall_of_40_ms
from benchmarks.nouns import Outside, RunOptions, VisitRecord, served_by
from benchmarks.summaries import Finding

OUTSIDE_LOAD = 0.03  # of the CPUs' time; on a quiet machine interrupts and wake-ups that are in nobody's clock reach 0.018
TICK_S = 0.01  # the resolution of a CPU's idle time in /proc/stat
RULES_NAMED = 3  # of those that a model breaks; `servebench check` names all
RULES_ENOUGH = 20  # broken ones, after which a run asks for no others: it won't measure this model
RESTLESS_SHARE = 0.5  # of a run's visits: if the weather changed within more of them, a steady one is the exception,
RESTLESS_FROM = 20  # in a run of so many: of a few, chance makes most unsteady
STRUCK_VISITS = 0.5  # the share of a cell's visits that must be struck to strike the cell

CHECKS: tuple[Check, ...] = (
    nothing_served,
    bookkeeping,
    littles_law,
    histograms_disagree,
    wait_ceiling,
    work_ceiling,
    engine_saturated,
    stall_of_40_ms,
    reuse,
    reconnects,
    companions,
    errors_seen,
    overloaded,
    no_free_connection,
    more_connections_than_slots,
    unfinished_requests,
    starving,
    lost_gaps,
    few_dominate,
    collecting,
    drift,
)


def check_window(facts: Facts) -> list[Finding]:
    """What the checks find in one window of one visit."""
    return [finding for check in CHECKS if (finding := check(facts))]


def disturbed(record: VisitRecord) -> Finding | None:
    """What disturbed a visit from outside, so that it should be made again; None when it was quiet."""
    return _weather_changed(record) or outside_load(record)


def restless(records: Iterable[VisitRecord]) -> bool:
    """Whether the weather changed within most of a run's visits, so that it tells no two of them apart.

    By first attempts alone: what is repeated is what was disturbed, and would be counted twice.
    """
    changed = [record.weather_changed for record in first_attempts(records)]
    return len(changed) >= RESTLESS_FROM and sum(changed) > RESTLESS_SHARE * len(changed)


def first_attempts(records: Iterable[VisitRecord]) -> list[VisitRecord]:
    """Of each model, scenario and block the first visit that did not fail."""
    first: dict[tuple[str, str, int], VisitRecord] = {}
    for record in sorted(records, key=lambda record: (record.plan.attempt, record.plan.number)):
        if record.failure is None:
            first.setdefault((record.plan.model, record.plan.scenario, record.plan.block), record)
    return list(first.values())


def check_visit(record: VisitRecord, of_restless_run: bool = False) -> list[Finding]:
    """What is to be said of all windows of a visit; of a restless run it is said once that the weather changed."""
    weather = None if of_restless_run else _weather_changed(record)
    found = [finding for finding in (_breaks_rules(record), weather, outside_load(record)) if finding]
    if record.warmup is not None and not record.warmup.steady:
        found.append(
            Finding(
                "never steady",
                "note",
                f"throughput still moved after {digits(record.warmup.seconds)} s of warm-up",
                "the first level may be slower or faster than the model is later",
                "see the time line of the visit",
            )
        )
    return found


def broken(rules: Sequence[str]) -> str:
    """What is said of a model that breaks rules: how many, and the first ones. Where enough were broken no more were asked."""
    more = f" and {len(rules) - RULES_NAMED} more" if len(rules) > RULES_NAMED else ""
    named = ", ".join(rule.partition(":")[0] for rule in rules[:RULES_NAMED])
    count = f"{len(rules)} rules or more" if len(rules) >= RULES_ENOUGH else f"{len(rules)} rule{'s' * (len(rules) != 1)}"
    return f"it breaks {count} ({named}{more})"


def _breaks_rules(record: VisitRecord) -> Finding | None:
    if not record.broken_rules:
        return None
    return Finding(
        "rules broken",
        "strike",
        broken(record.broken_rules),
        "it leaves out what real servers must do, so it was measured at another task than the others",
        f"`servebench check {served_by(record.plan.model)}` shows each with its bytes; mend them and run again",
    )


def _weather_changed(record: VisitRecord) -> Finding | None:
    if not record.weather_changed:
        return None
    return Finding(
        "weather changed",
        "mark",
        _weather_seen(record),
        "part of the visit ran on a machine of another speed, and no attempt of this block did better",
        "run again, or with more visits; such visits are compared with each other only",
    )


def outside_share(outside: Outside) -> float:
    """How much of the CPUs' time others took while the visit's levels were measured, beyond what the clocks leave open."""
    taken_s = (outside.busy_ns - outside.ours_ns) / 1e9 - TICK_S * outside.cpus
    return max(taken_s / (outside.seconds * outside.cpus), 0.0) if outside.seconds and outside.cpus else 0.0


def outside_load(record: VisitRecord) -> Finding | None:
    """What is to be said of a visit beside which other programs ran; None when none did, or nobody can tell."""
    if record.outside is None or (share := outside_share(record.outside)) <= OUTSIDE_LOAD:
        return None
    return Finding(
        "outside load",
        "mark",
        f"other programs took {percent(share)} of the time of the {record.outside.cpus} CPUs that the run uses",
        "the server or the load engine waited for them, and no attempt of this block had the CPUs to itself",
        "end other programs (`servebench doctor` names them), then run again; such visits are compared with each other only",
    )


def _weather_seen(record: VisitRecord) -> str:
    """The probe that moved most."""
    before, after = record.before, record.after
    if before is None or after is None:
        return "the probes before and after the visit disagree"
    probes = [("a pure-Python loop's turn", before.python_ns, after.python_ns)]
    if before.pingpong_ns is not None and after.pingpong_ns is not None:
        probes.append(("a cache line's round trip", before.pingpong_ns, after.pingpong_ns))
    name, first, second = max(probes, key=lambda probe: max(probe[1:]) / min(probe[1:]))
    return f"{name} took {digits(first)} ns before the visit and {digits(second)} ns after it"


def is_accident(struck: int, visits: int) -> bool:
    """Whether so few of a cell's visits are struck that the others may stand for it."""
    return struck < STRUCK_VISITS * visits


def over_visits(found: Sequence[Sequence[Finding]], beyond: bool = False) -> list[Finding]:
    """One cell's findings from those of its visits, each said once, worst first.

    Where fewer than half of the visits are struck, by whatever, strikes become marks: an accident of one visit does not undo
    the others, and it is left out of the numbers. Nor is a cell overloaded that was so in fewer than half of them: that is a
    mark of its own, but for levels that are to be `beyond` what a server can do.
    """
    struck = sum(any(finding.severity == "strike" for finding in findings) for findings in found)
    by_check: dict[str, list[Finding]] = collections.defaultdict(list)
    for findings in found:
        for finding in findings:
            by_check[finding.check].append(finding)
    merged = []
    for same in by_check.values():
        first = min(same, key=lambda finding: _ORDER[finding.severity])
        often = f" (in {len(same)} of {len(found)} visits)" if len(same) < len(found) else ""
        demoted = first.severity == "strike" and is_accident(struck, len(found))
        left_out = "; left out" if demoted else ""
        made = replace(first, seen=first.seen + often + left_out, severity="mark" if demoted else first.severity)
        if made.check == OVERLOADED and is_accident(len(same), len(found)):
            made = replace(
                made,
                check=OVERLOADED_AT_TIMES,
                severity="note" if beyond else "mark",
                why="in these visits its queue grew, and their response times are in its numbers and in its noise",
            )
        merged.append(made)
    return sorted(merged, key=lambda finding: _ORDER[finding.severity])


_ORDER = {"strike": 0, "mark": 1, "note": 2}


def shares_a_core(options: RunOptions) -> bool:
    """Whether server and engine take time from each other."""
    return bool(set(options.server_cpus) & set(options.driver_cpus))


def check_weather(records: Sequence[VisitRecord]) -> list[Finding]:
    """What is to be said of the weather of a run as a whole."""
    if not restless(records):
        return []
    first = first_attempts(records)
    changed = sum(record.weather_changed for record in first)
    return [
        Finding(
            "restless machine",
            "mark",
            f"the machine's speed changed within {changed:,} of {len(first):,} visits",
            "there is no weather to compare within: all visits of a block are compared, and intervals have all of that noise",
            "run on a quieter machine (`servebench doctor` watches its weather), or with more visits",
        )
    ]


def check_run(options: RunOptions) -> list[Finding]:
    """What is to be said of the run as a whole."""
    found = []
    if shares_a_core(options):
        found.append(
            Finding(
                "shared core",
                "mark",
                "the server and the load engine ran on the same core",
                "each waits for the other: the numbers are of both together and not comparable with others",
                "run on two cores or more (--server-cpus 0 --driver-cpus 1)",
            )
        )
    if options.unchecked:
        found.append(
            Finding(
                "unchecked",
                "mark",
                "the run was made with --unchecked",
                "models that break the rules of HTTP or of a graceful server were measured; they are struck out and not ranked",
                "leave --unchecked out, or mend them (`servebench check`)",
            )
        )
    if max(options.visits.values(), default=0) == 1 and options.precision is None:  # else more were to follow
        found.append(
            Finding(
                "one visit",
                "mark",
                "every model was visited once",
                "one number shows no noise: there are no intervals, and nobody is ranked",
                "ask for more (--visits 5, or --profile quick)",
            )
        )
    return found
