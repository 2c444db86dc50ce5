"""What theory said of the models, beside what was measured: agreed, disagreed, or open. Nothing is repaired.

A prediction is a metric's bounds. Its estimate is the mean over the replicates with its 95% interval, or with `of` the ratio to
that model's, as the scoreboard has it. Where the interval lies within the bounds it agrees, where it lies wholly outside it
disagrees. Else, or without a number that may be compared, the question is open, and it is said why.
"""

import math
from collections.abc import Mapping

from benchmarks.absolutes import intervals
from benchmarks.metrics import unit_of
from benchmarks.observed import Observed
from benchmarks.questions import Metric, Prediction
from benchmarks.results import Cells, Values, values_of
from benchmarks.stats.scoreboard import ratio
from benchmarks.summaries import Agreement, Estimate, Judged


def judged(observed: Observed, cells: Cells) -> list[Judged]:
    """Each prediction of each of its models that are part of the run."""
    made = []
    for prediction in observed.asked.predictions if observed.asked else ():
        found = values_of(prediction.metric, observed, cells)
        models = [model for model in prediction.models if model in observed.models]
        made += [_judged(prediction, model, found, observed) for model in models]
    return made


def _judged(prediction: Prediction, model: str, found: Mapping[str, Values], observed: Observed) -> Judged:
    estimate, why = _estimate(prediction, model, found, observed)
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
    prediction: Prediction, model: str, found: Mapping[str, Values], observed: Observed
) -> tuple[Estimate | None, str]:
    """What was measured, and what forbids to hold it against the prediction."""
    for name in (model, *([prediction.of] if prediction.of else [])):
        if name not in found:
            return None, f"{name} was not measured"
        if not found[name].comparable:
            value = None if prediction.of else _absolutes(prediction.metric, found, observed).get(name)
            return value, f"{found[name].reason} ({name}): {found[name].why}"
    if not prediction.of:
        made = _absolutes(prediction.metric, found, observed).get(model)
        return made, "" if made else "no replicate knows it"
    able = {name: values.positive for name, values in found.items() if values.comparable and values.positive}
    made = ratio(able, model, prediction.of, observed.resolution(prediction.metric, able))
    return made, "" if made else f"no replicate has both {model} and {prediction.of}"


def _absolutes(metric: Metric, found: Mapping[str, Values], observed: Observed) -> dict[str, Estimate]:
    """The mean of each model with its interval. What may not be compared lends its noise to nobody and gets that of nobody."""
    able = {name: list(values.by_replicate.values()) for name, values in found.items() if values.comparable}
    others = {name: list(values.by_replicate.values()) for name, values in found.items() if not values.comparable}
    resolution = observed.resolution(metric, found)
    alone = {name: made for name, own in others.items() for made in intervals({name: own}, resolution).values()}
    return intervals(able, resolution) | alone


def agreement_of(estimate: Estimate, least: float | None, most: float | None) -> tuple[Agreement, str]:
    """Whether an estimate agrees with its bounds, and what keeps it open."""
    low, high = estimate.low, estimate.high
    if low is None or high is None:
        return "open", "too few replicates show how far the number can be trusted"
    lower, upper = -math.inf if least is None else least, math.inf if most is None else most
    if lower <= low and high <= upper:
        return "agrees", ""
    if high < lower or upper < low:
        return "disagrees", ""
    return "open", "its interval reaches across the bound" + ("s" if low < lower and high > upper else "")


def in_words(metric: Metric) -> str:
    """What is measured: "p90 of hello at open 200/s", "cpu at the peak"."""
    of = f" of {metric.label}" if metric.label else ""
    below = f", by {in_words(metric.by)}" if metric.by else ""
    return f"{metric.quantity}{of} at {metric.level or 'the peak'}{below}"
