"""Models measured in more ways than one: under other interpreters, with other numbers of workers, and as a direct loop.

A variant is one more name in the list of models, "prefork~4 workers"; whatever it is not said to differ in is as for the model.
"""

from collections.abc import Mapping, Sequence

from benchmarks import catalogue
from benchmarks.nouns import BASELINE, Variant, served_by, variant_of

BASELINES = {  # loops without the steps, by the model that each is compared with; DESIGN section 4, item 10
    "epoll_loop": "benchmarks.controls.direct_epoll",
    "thread_per_connection": "benchmarks.controls.direct_threads",
    "asyncio_protocol": "benchmarks.controls.direct_asyncio",
}
BASELINE_SCENARIO = "hello"  # the scenario that baselines can serve


def variants(
    models: Sequence[str], pythons: Mapping[str, str], cores: int, baselines: bool = False, tuned: bool = False
) -> dict[str, Variant]:
    """All variants of these models by name, each model's own together.

    `pythons` are interpreters by what they are called in names; `cores` is how many the server may use.
    """
    found: dict[str, Variant] = {}
    for model in models:
        if tuned:
            found |= {variant_of(model, what): Variant(settings) for what, settings in _numbers(model, cores).items()}
        found |= {variant_of(model, label): Variant(python=python) for label, python in pythons.items()}
        if baselines and model in BASELINES:
            for label, python in {"": "", **pythons}.items():
                name = variant_of(model, f"{BASELINE} {label}".strip())
                found[name] = Variant(python=python, module=BASELINES[model], scenarios=(BASELINE_SCENARIO,))
    return found


def _numbers(model: str, cores: int) -> dict[str, tuple[str, ...]]:
    """The settings to try, by what they are called: "4 workers"."""
    said = catalogue.tuned(model)
    if said is None:
        return {}
    option, multiples = said
    return {f"{each * cores} {option}": (f"--{option}", str(each * cores)) for each in multiples}


def listed(models: Sequence[str], varied: Mapping[str, Variant]) -> tuple[str, ...]:
    """The models, each with its variants behind it."""
    return tuple(name for model in models for name in (model, *(each for each in varied if served_by(each) == model)))


def caption(name: str, variant: Variant, captions: Mapping[str, str]) -> str:
    """What a variant is called in tables and legends."""
    what = name.partition(served_by(name))[2][1:]
    if variant.module:
        path = catalogue.ROOT.joinpath(*variant.module.split(".")).with_suffix(".py")
        under = what.removeprefix(BASELINE).strip()
        words = catalogue.caption(path)
        return f"Baseline: {words[0].lower()}{words[1:]}" + (f" ({under})" if under else "")
    return f"{captions[served_by(name)]} ({what})"
