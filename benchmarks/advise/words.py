"""The advice in sentences: who is cheapest, why, and what would change the answer."""

from collections.abc import Sequence

from benchmarks.advise.verdict import WOULD_DO, Advice, Candidate, carried_per_s, late, utilisation
from benchmarks.advise.workload import amount, cores, plural
from benchmarks.amounts import digits, duration, percent, rate, size


def carried(candidate: Candidate) -> str:
    """The rate that it carries within the objective."""
    capacity = candidate.measured.capacity
    if capacity is None:
        return "–"
    return rate(carried_per_s(capacity)) if capacity.rate_per_s else f"≥ {rate(carried_per_s(capacity))}"


def alike(advice: Advice) -> list[str]:
    """Those that qualify and were not told apart from the cheapest in CPU, the cheapest first."""
    if not advice.qualify:
        return []
    best = advice.qualify[0].model
    tied = {
        pair.other if pair.one == best else pair.one
        for pair in advice.pairs
        if pair.call != "different" and best in (pair.one, pair.other)
    }
    return [one.model for one in advice.qualify if one.model in tied]


def headline(advice: Advice) -> list[str]:
    """One to three sentences: how many qualify, who is cheapest in CPU and who in memory."""
    everybody = [*advice.qualify, *advice.fail, *advice.unknown]
    said = [f"{len(advice.qualify)} of {len(everybody)} qualify."]
    if not advice.qualify:
        if advice.unknown:
            said.append(f"Of {len(advice.unknown)} the run does not tell.")
        return said
    best, tied = advice.qualify[0], alike(advice)
    if advice.workload.rate_per_s is None:
        return [*said, f"{best.model} carries most: {carried(best)}."]
    if best.measured.cpu_ns is None:
        return said
    with_it = f" ({listed(tied)} {'is' if len(tied) == 1 else 'are'} not told apart from it)" if tied else ""
    each, busy = duration(best.measured.cpu_ns), percent(utilisation(advice.workload, best.measured))
    said.append(f"{best.model} takes the least CPU: {each} a request, {busy} of {cores(advice.workload.cores)}{with_it}.")
    if (least := advice.least_memory) and least.measured.rss_bytes:
        said.append(f"{least.model} takes the least memory: {size(least.measured.rss_bytes)}.")
    return said


def reasons(advice: Advice) -> list[str]:
    """Why: where the CPU time goes, how far the dearest is from the cheapest, and how many requests are in service."""
    workload, found = advice.workload, []
    best_ns = advice.qualify[0].measured.cpu_ns if advice.qualify else None
    if workload.rate_per_s is None or best_ns is None:
        return []
    best, dearest = advice.qualify[0], advice.qualify[-1]
    added_ns = best_ns - workload.cpu_s * 1e9
    if workload.cpu_s and added_ns > 0:
        found.append(
            f"{duration(workload.cpu_s * 1e9)} of the {duration(best_ns)} of CPU is the request's own computing; {best.model}"
            f" adds {duration(added_ns)}."
        )
    if dearest is not best and dearest.measured.cpu_ns:
        found.append(
            f"The dearest that qualifies, {dearest.model}, takes {digits(dearest.measured.cpu_ns / best_ns)}× as much."
        )
    if workload.takes_s:
        found.append(
            f"{digits(workload.in_service)} requests are in service at once on average ({amount(workload)} ×"
            f" {duration(workload.takes_s * 1e9)}), on {plural(workload.connections, 'open connection')}."
        )
    return found


def changes(advice: Advice) -> list[str]:
    """What would change the answer: rate, objective, pools, and a longer run where it does not tell."""
    workload, found = advice.workload, []
    busy = utilisation(workload, advice.qualify[0].measured) if advice.qualify else 0.0
    if workload.rate_per_s is not None and busy:
        full = rate(workload.rate_per_s / busy)
        others = "; the others do so earlier" if len(advice.qualify) > 1 else ""
        found.append(f"The rate: at {full} {advice.qualify[0].model} fills {cores(workload.cores)}{others}.")
    found += _limits(advice)
    if any(one.why.endswith(WOULD_DO) for one in advice.fail):
        found.append(
            "Fewer connections, or larger pools: a pool fails where each open connection holds a thread or worker. Its larger"
            " size was not measured; a proxy in front that shares few connections is the other cure."
        )
    if advice.unknown:
        found.append(f"Time: {plural(len(advice.unknown), 'model')} unknown; --budget 10m measures for longer.")
    return found


def _limits(advice: Advice) -> list[str]:
    """Which other objective would exclude one that qualifies, or admit one that fails for nothing else."""
    workload = advice.workload
    if workload.objective is None or workload.rate_per_s is None:
        return []
    found = []
    ends = {one.model: one.reached.high_ns for one in advice.qualify if one.reached and one.reached.high_ns}
    if ends:
        slowest = max(ends, key=lambda model: ends[model])
        found.append(f"the slowest that qualifies, {slowest}, stays within {duration(ends[slowest])}")
    late_ns = {one.model: one.reached.value_ns for one in advice.fail if one.reached and one.why == late(workload, one.reached)}
    if late_ns:
        nearest = min(late_ns, key=lambda model: late_ns[model])
        found.append(f"the nearest that fails, {nearest}, is at {duration(late_ns[nearest])}")
    return [f"The objective: {'; '.join(found)}."] if found else []


def listed(names: Sequence[str]) -> str:
    """ "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
