"""Background connections: whether as many were open as the level says."""

from benchmarks.checks.facts import Facts
from benchmarks.summaries import Finding

TOO_FEW = "too few background connections"
FEW = 0.5  # of those asked for, below which it is another load


def background_connections(facts: Facts) -> Finding | None:
    """Fewer background connections were open than the level says, in one of its windows at least. Below half it is not the load
    that was asked for.

    A server with a lower concurrency limit declares it, so what it then does is right, but its load is not that of the others:
    it is not ranked with them.
    """
    wanted = facts.measurement.level.background
    if wanted is None:
        return None
    held = facts.load.background.get("open", 0)
    if held >= wanted.count:
        return None
    short = held < FEW * wanted.count
    lost = [f"{facts.load.background[what]:,} {what}" for what in ("refused", "lost") if facts.load.background.get(what)]
    return Finding(
        TOO_FEW if short else "background connections",
        "info" if facts.filled_by_background else "invalid" if short else "warning",
        f"held {held:,} of {wanted.count:,} {_kind(wanted.kind)}" + (f" ({', '.join(lost)})" if lost else ""),
        "it is another load than the others had: not ranked" if short else "the load was a little lighter than the others had",
        "raise the model's concurrency limit (--workers, --threads) or its descriptors (ulimit -n)"
        if facts.filled_by_background
        else "see the record, whether the server refused them; more descriptors (ulimit -n) may help",
    )


def _kind(kind: str) -> str:
    return "idle connections" if kind == "idle" else kind
