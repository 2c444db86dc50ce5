"""What theory said of the models, beside what was measured: agreed, disagreed, or open. Nothing is repaired.

A prediction is a metric's bounds. Its estimate is the mean over the visits, or with `of` the ratio to that model's in the same
blocks, with the interval that any such number has here. Where the interval lies within the bounds it agrees, where it lies
wholly outside it disagrees. Else, or without a number that may be compared, the question is open, and it is said why.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.metrics import unit_of
from benchmarks.questions import Metric, Prediction
from benchmarks.ranking import ratio
from benchmarks.results import Levels, Values, coarsest, estimates, paired, values_of
from benchmarks.summaries import Agreement, Estimate, Judged

ENOUGH_RANGE = 3  # visits, whose range stands for an interval where values of 0 have no logarithms


def judged(
    predictions: Iterable[Prediction], models: Sequence[str], levels: Levels, peak_levels: Mapping[str, str]
) -> list[Judged]:
    """Each prediction of each of its models that are part of the run."""
    made = []
    for prediction in predictions:
        found = values_of(prediction.metric, levels, peak_levels)
        means = estimates(found)
        made += [_judged(prediction, model, found, means) for model in prediction.models if model in models]
    return made


def _judged(prediction: Prediction, model: str, found: Mapping[str, Values], means: Mapping[str, Estimate | None]) -> Judged:
    estimate, why = _estimate(prediction, model, found, means)
    agreement: Agreement = "open"
    if estimate is not None and not why:
        agreement, why = agreement_of(estimate, prediction.least, prediction.most)
    return Judged(
        family=prediction.family,
        model=model,
        says=prediction.says,
        source=prediction.source,
        measured=in_words(prediction.metric) + (f", by that of {prediction.of}" if prediction.of else ""),
        unit="ratio" if prediction.of else unit_of(prediction.metric),
        least=prediction.least,
        most=prediction.most,
        estimate=estimate,
        agreement=agreement,
        why=why,
    )


def _estimate(
    prediction: Prediction, model: str, found: Mapping[str, Values], means: Mapping[str, Estimate | None]
) -> tuple[Estimate | None, str]:
    """What was measured, and what forbids to hold it against the prediction."""
    for name in (model, *([prediction.of] if prediction.of else [])):
        if name not in found:
            return None, f"{name} was not measured"
        if not found[name].comparable:
            return None if prediction.of else means[name], f"{found[name].reason} ({name}): {found[name].why}"
    if not prediction.of:
        return means[model], "" if means[model] else "no visit knows it"
    made = ratio(paired(found), model, prediction.of, coarsest(found))
    return made, "" if made else f"no block has both {model} and {prediction.of}"


def agreement_of(estimate: Estimate, least: float | None, most: float | None) -> tuple[Agreement, str]:
    """Whether an estimate agrees with its bounds, and what keeps it open."""
    low, high = _interval(estimate)
    if low is None or high is None:
        return "open", "too few visits show how sure the number is"
    lower, upper = -math.inf if least is None else least, math.inf if most is None else most
    if lower <= low and high <= upper:
        return "agrees", ""
    if high < lower or upper < low:
        return "disagrees", ""
    return "open", "its interval reaches across the bound" + ("s" if low < lower and high > upper else "")


def _interval(estimate: Estimate) -> tuple[float | None, float | None]:
    """The interval; of numbers that are 0 somewhere, which have no logarithms, the range of the visits."""
    if estimate.low is None and len(estimate.visits) >= ENOUGH_RANGE and min(estimate.visits) <= 0:
        return min(estimate.visits), max(estimate.visits)
    return estimate.low, estimate.high


def in_words(metric: Metric) -> str:
    """What is measured: "p90 of hello at open 200/s", "cpu at the peak"."""
    of = f" of {metric.label}" if metric.label else ""
    below = f", by {in_words(metric.by)}" if metric.by else ""
    return f"{metric.quantity}{of} at {metric.level or 'the peak'}{below}"
