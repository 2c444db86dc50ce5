"""Those beside the load: whether as many were there as the level says."""

from benchmarks.checks.facts import Facts
from benchmarks.summaries import Finding

TOO_FEW = "too few companions"
FEW = 0.5  # of those asked for, below which it is another load


def companions(facts: Facts) -> Finding | None:
    """Fewer connections were held beside the load than the level says. Below half it is not the load that was asked for.

    A server with fewer slots than that says so beforehand, and what it then does is the truth: a mark, but of a load that is
    not the others' either, so it is not ranked with them.
    """
    beside = facts.window.level.beside
    if beside is None:
        return None
    held = facts.load.companions.get("open", 0)
    if held >= beside.count:
        return None
    short = held < FEW * beside.count
    lost = [f"{facts.load.companions[what]:,} {what}" for what in ("refused", "lost") if facts.load.companions.get(what)]
    return Finding(
        TOO_FEW if short else "companions",
        "strike" if short and not facts.filled_by_companions else "mark",
        f"held {held:,} of {beside.count:,} {_kind(beside.kind)}" + (f" ({', '.join(lost)})" if lost else ""),
        "it is another load than the others had: not ranked" if short else "the load was a little lighter than the others had",
        "give the model more slots (--workers, --threads) or descriptors (ulimit -n)"
        if facts.filled_by_companions
        else "see the record, whether the server refused them; more descriptors (ulimit -n) may help",
    )


def _kind(kind: str) -> str:
    return "idle connections" if kind == "idle" else kind
