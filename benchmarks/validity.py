"""Is this number believable? Checks over recorded facts, each of which says what was observed, why it matters, what to do.

A check is a function from the facts of one measurement to a Finding or None, and `CHECKS` is the list of them: to add one,
write it in `benchmarks.checks` and name it there. **invalid**: the number is not what it claims to be; it is shown struck
through and never ranked. **warning**: the number is right, but has to be read with this. **info**: worth knowing.

The faults are those that published benchmarks contain: generator-bound results (Tene, "How NOT to Measure Latency"), failed
requests counted as served, keep-alive that reconnected each time, accounts that do not balance.
"""

import collections
import itertools
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from benchmarks.amounts import digits, percent
from benchmarks.checks.background import background_connections
from benchmarks.checks.books import bookkeeping, few_dominate, histograms_disagree, littles_law
from benchmarks.checks.ceilings import wait_ceiling, work_ceiling
from benchmarks.checks.engine import engine_saturated, lost_gaps
from benchmarks.checks.facts import Check, Facts
from benchmarks.checks.neighbours import BUSY, neighbours, neighbours_share, too_few_windows
from benchmarks.checks.service import (
    OVERLOADED,
    OVERLOADED_AT_TIMES,
    above_limit,
    collecting,
    drift,
    no_free_connection,
    nothing_served,
    overloaded,
    starving,
    unfinished_requests,
)
from benchmarks.checks.wire import errors_seen, reconnects, reuse, stall_of_40_ms
from benchmarks.nouns import Outside, ReplicateRecord, RunOptions, Trial, served_by
from benchmarks.summaries import Finding

OUTSIDE_LOAD = 0.03  # of the CPUs' time; on a quiet machine interrupts and wake-ups that no process accounts for reach 0.018
TICK_S = 0.01  # the resolution of a CPU's idle time in /proc/stat
RULES_NAMED = 3  # of those that a model breaks; `servebench check` names all
RULES_ENOUGH = 20  # broken ones, after which a run asks for no others: it won't measure this model
INVALID_REPLICATES = 0.5  # the share of a cell's replicates that must be invalid for the cell to be
SPEED_MOVED = 0.20  # of the machine from replicate to replicate, by what all models served

CHECKS: tuple[Check, ...] = (
    nothing_served,
    bookkeeping,
    littles_law,
    histograms_disagree,
    wait_ceiling,
    work_ceiling,
    engine_saturated,
    neighbours,
    too_few_windows,
    stall_of_40_ms,
    reuse,
    reconnects,
    background_connections,
    errors_seen,
    overloaded,
    no_free_connection,
    above_limit,
    unfinished_requests,
    starving,
    lost_gaps,
    few_dominate,
    collecting,
    drift,
)


def check_measurement(facts: Facts) -> list[Finding]:
    """What the checks find in one level of one trial."""
    return [finding for check in CHECKS if (finding := check(facts))]


def check_trial(trial: Trial) -> list[Finding]:
    """What concerns all levels of a trial."""
    found = []
    if trial.broken_rules:
        found.append(
            Finding(
                "rules broken",
                "invalid",
                broken(trial.broken_rules),
                "it leaves out what real servers must do, so its task is another than that of the other models",
                f"`servebench check {served_by(trial.model)}` shows each with its bytes; fix them and run again",
            )
        )
    if trial.warmup is not None and not trial.warmup.steady:
        found.append(
            Finding(
                "never steady",
                "info",
                f"throughput still changed after {digits(trial.warmup.seconds)} s of warm-up",
                "the first level may be slower or faster than the model is later",
                "see the time line of the replicate",
            )
        )
    return found


def broken(rules: Sequence[str]) -> str:
    """How a model breaks rules: how many, and the first ones. Where enough were broken no more were asked."""
    more = f" and {len(rules) - RULES_NAMED} more" if len(rules) > RULES_NAMED else ""
    named = ", ".join(rule.partition(":")[0] for rule in rules[:RULES_NAMED])
    count = f"{len(rules)} rules or more" if len(rules) >= RULES_ENOUGH else f"{len(rules)} rule{'s' * (len(rules) != 1)}"
    return f"it breaks {count} ({named}{more})"


# ---------------------------------------------------------------- over the replicates of a cell


def is_accident(invalid: int, replicates: int) -> bool:
    """Whether so few of a cell's replicates are invalid that the others may stand for it."""
    return invalid < INVALID_REPLICATES * replicates


def over_replicates(found: Sequence[Sequence[Finding]]) -> list[Finding]:
    """One cell's findings from those of its replicates, each reported once, worst first.

    Where fewer than half of the replicates are invalid, for whatever reason, that becomes a warning: an accident in one does
    not invalidate the others, and it is left out of the numbers. Nor is a cell overloaded that was so in fewer than half of
    them: that is in its interval.
    """
    invalid = sum(any(finding.severity == "invalid" for finding in findings) for findings in found)
    by_check: dict[str, list[Finding]] = collections.defaultdict(list)
    for finding in itertools.chain.from_iterable(found):
        by_check[finding.check].append(finding)
    merged = [_over_replicates(same, len(found), is_accident(invalid, len(found))) for same in by_check.values()]
    return sorted(merged, key=lambda finding: _ORDER[finding.severity])


def _over_replicates(same: Sequence[Finding], replicates: int, accident: bool) -> Finding:
    """One check's findings as one."""
    worst = min(same, key=lambda finding: _ORDER[finding.severity])
    often = f" (in {len(same)} of {replicates} replicates)" if len(same) < replicates else ""
    if worst.severity == "invalid" and accident:
        return replace(worst, observed=f"{worst.observed}{often}; left out", severity="warning")
    made = replace(worst, observed=worst.observed + often)
    if made.check == OVERLOADED and is_accident(len(same), replicates):
        return replace(
            made,
            check=OVERLOADED_AT_TIMES,
            why="in these replicates its queue grew, and their response times are in its numbers and in its noise",
        )
    return made


_ORDER = {"invalid": 0, "warning": 1, "info": 2}


# ---------------------------------------------------------------- the run as a whole


def outside_share(outside: Outside) -> float:
    """How much of the CPUs' time other programs took during a record, beyond the clocks' resolution."""
    taken_s = (outside.busy_ns - outside.ours_ns) / 1e9 - TICK_S * outside.cpus
    return max(taken_s / (outside.seconds * outside.cpus), 0.0) if outside.seconds and outside.cpus else 0.0


def outside_load(record: ReplicateRecord) -> Finding | None:
    """Whether other programs ran while a scenario was measured; None when none did, or where that is not known."""
    if record.outside is None or (share := outside_share(record.outside)) <= OUTSIDE_LOAD:
        return None
    return Finding(
        "outside load",
        "warning",
        f"other programs took {percent(share)} of the time of the {record.outside.cpus} CPUs that the run uses",
        "all models of a round had it alike, so ratios hold; intervals are wider, tails longer, and absolute values lower",
        "end other programs (`servebench doctor` names them), then run again",
    )


def two_states(boundaries_ns: Mapping[str, float]) -> list[Finding]:
    """That the machine changed between two states, in the scenarios whose boundary between them is given."""
    if not boundaries_ns:
        return []
    between = ", ".join(f"{digits(boundary)} ns in {scenario}" for scenario, boundary in boundaries_ns.items())
    return [
        Finding(
            "two machine states",
            "info",
            f"a cache line's round trip between the cores was either well below or well above {between}",
            "such states change ratios by up to half; models are compared within each, and a ratio is the mean of both",
            "on a machine of one's own, or with its cores reserved, there is one",
        )
    ]


def check_replicates(records: Sequence[ReplicateRecord]) -> list[Finding]:
    """What concerns the run's records together: other programs, busy neighbours, the machine's speed."""
    found = (_outside_loads(records), _busy_neighbours(records), _speed_moved(records))
    return [finding for finding in found if finding]


def _outside_loads(records: Sequence[ReplicateRecord]) -> Finding | None:
    """All records under outside load as one finding."""
    loaded = {id(record): finding for record in records if (finding := outside_load(record))}
    if not loaded:
        return None
    worst = max(
        (record for record in records if id(record) in loaded), key=lambda r: outside_share(r.outside) if r.outside else 0
    )
    which = (
        f" in {worst.scenario}, replicate {worst.replicate + 1}; {len(loaded):,} of {len(records):,} records had outside load"
    )
    return replace(loaded[id(worst)], observed=loaded[id(worst)].observed + which)


def _busy_neighbours(records: Sequence[ReplicateRecord]) -> Finding | None:
    """The models that used CPU time while others were measured: what each had beside itself lacks its own part."""
    busy: collections.Counter[str] = collections.Counter()
    for record in records:
        shares = {trial.model: share for trial in record.trials if (share := _neighbours_share(trial)) is not None}
        most = max(shares.values(), default=0.0)  # what a model that is itself idle has beside it
        busy.update(model for model, share in shares.items() if most - share > BUSY)
    if not busy:
        return None
    names = ", ".join(name for name, _ in busy.most_common(RULES_NAMED))
    return Finding(
        "busy neighbours",
        "warning",
        f"{names} used CPU time while other models were measured, in {max(busy.values()):,} of {len(records):,} records",
        "where it was over 0.5% of the time, the other models' numbers are invalid",
        f"measure the others without it, and it in a run of its own (--models {served_by(busy.most_common(1)[0][0])})",
    )


def _neighbours_share(trial: Trial) -> float | None:
    """The neighbours' CPU time in each second of a trial's windows; None where no window was interleaved."""
    shares = [neighbours_share(one) for one in trial.measurements if one.interleaved and one.rounds.seconds]
    return statistics.fmean(shares) if shares else None


def _speed_moved(records: Sequence[ReplicateRecord]) -> Finding | None:
    """Whether the machine was much faster in some replicates than in others, by what all models served in closed loops."""
    by_scenario: dict[str, dict[int, float]] = collections.defaultdict(dict)
    rates: dict[tuple[str, str, str], dict[int, float]] = collections.defaultdict(dict)
    for record in records:
        for trial in record.trials:
            for one in trial.measurements:
                if one.level.loop == "closed" and one.load.completed:
                    key = (record.scenario, trial.model, one.level.label)
                    rates[key][record.replicate] = math.log(one.load.completed / one.load.seconds)
    for scenario in dict.fromkeys(record.scenario for record in records):
        by_scenario[scenario] = _paces(of for (name, _, _), of in rates.items() if name == scenario)
    spans = {name: max(paces.values()) - min(paces.values()) for name, paces in by_scenario.items() if len(paces) > 1}
    if not spans or (most := max(spans.values())) <= math.log(1 + SPEED_MOVED):
        return None
    where = max(spans, key=lambda name: spans[name])
    return Finding(
        "machine speed",
        "info",
        f"all models together were {percent(math.exp(most) - 1)} faster in one replicate of {where} than in another",
        "absolute values are those of a machine whose speed changed; ratios are taken within rounds and do not contain it",
        "compare ratios; for absolute values run on a quieter machine (`servebench doctor` watches its speed)",
    )


def _paces(rates: Iterable[Mapping[int, float]]) -> dict[int, float]:
    """The machine's pace in each replicate, a logarithm: the median over models and levels of how far each is from its mean."""
    off: dict[int, list[float]] = collections.defaultdict(list)
    for of in rates:
        mean = statistics.fmean(of.values())
        for replicate, rate in of.items():
            off[replicate].append(rate - mean)
    return {replicate: statistics.median(values) for replicate, values in off.items()}


def shares_a_core(options: RunOptions) -> bool:
    """Whether server and engine take time from each other."""
    return bool(set(options.server_cpus) & set(options.driver_cpus))


def check_run(options: RunOptions) -> list[Finding]:
    """What concerns the run as a whole, by its options."""
    found = []
    if shares_a_core(options):
        found.append(
            Finding(
                "shared core",
                "warning",
                "the servers and the load engine ran on the same core",
                "each waits for the other: the numbers are of both together and not comparable with others",
                "run on two cores or more (--server-cpus 0 --driver-cpus 1)",
            )
        )
    if options.unchecked:
        found.append(
            Finding(
                "unchecked",
                "warning",
                "the run was made with --unchecked",
                "models that break the rules of HTTP or of a graceful server were measured; they are invalid and not ranked",
                "leave --unchecked out, or fix the models (`servebench check`)",
            )
        )
    if options.replicates == 1 and options.precision is None:  # else more were to follow
        found.append(
            Finding(
                "one replicate",
                "warning",
                "every model was started once",
                "one server process does not show how much processes differ: there are no intervals, and no model is ranked",
                "ask for more (--replicates 5, or --profile quick)",
            )
        )
    return found
