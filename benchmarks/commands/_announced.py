"""What `servebench run` says before it begins: what will be measured, for how long, and what on this machine will hurt."""

from collections.abc import Mapping
from typing import Any

import msgspec
from rich.console import Console

from benchmarks import plan
from benchmarks.amounts import duration
from benchmarks.commands._run_options import listed
from benchmarks.nouns import RunOptions, is_aa_arm, measured, served_by
from benchmarks.questions import Level, Scenario
from benchmarks.summaries import Symptom

_LONG_S = 6000.0  # from here on in hours
_NAMES_WIDTH = 60


def announce(console: Console, chosen: RunOptions, scenarios: Mapping[str, Scenario], machine: Mapping[str, Any]) -> None:
    """A line or two about the run, then the machine's symptoms."""
    from benchmarks import doctor

    beyond = (
        f", then up to {_long(chosen.budget_s)} more for intervals of ±{100 * chosen.precision:g}%"
        if chosen.precision is not None
        else ""
    )
    console.print(
        f"{_everybody(chosen)}, {_questions(chosen)}: {chosen.replicates} replicate{'s' * (chosen.replicates != 1)}, about "
        f"{_long(plan.run_s(chosen, scenarios))}{beyond}; servers on CPU {listed(chosen.server_cpus)}, load from CPU "
        f"{listed(chosen.driver_cpus)}; seed {chosen.seed}",
        highlight=False,
    )
    for name, variant in chosen.variants.items():
        if variant.scenarios:
            console.print(
                f"{name} is measured in {', '.join(variant.scenarios)} alone: it serves nothing else",
                style="dim",
                highlight=False,
            )
    for line in doctor.worst(msgspec.convert(machine.get("symptoms", []), list[Symptom])):
        console.print(line, style="yellow", highlight=False, markup=False)
    if set(chosen.server_cpus) & set(chosen.driver_cpus):
        console.print(
            "Servers and load share a CPU: models cannot be compared. The numbers are of both together.", style="bold red"
        )


def show_plan(console: Console, chosen: RunOptions, scenarios: Mapping[str, Scenario]) -> None:
    """Who would be measured, where and how often, at which levels, and how long it takes."""
    for name, scenario in scenarios.items():
        who = measured(chosen, name)
        why = plan.is_alone(scenario, chosen)
        console.print(
            f"[bold]{name}[/]  {len(who)} models in each of {chosen.replicates} replicates, about "
            f"{_long(sum(plan.scenario_s(name, scenario, chosen, number) for number in range(chosen.replicates)))}"
            + (f"; one at a time: {why}" if why else ""),
            highlight=False,
        )
        labels = [_paced(scenario, level, chosen) for level in plan.levels(scenario, chosen)]
        search = [f"then the highest rate with {chosen.objective}"] if chosen.objective else []
        console.print(f"    {'; '.join([*labels, *search])}", style="dim", highlight=False, markup=False)
    console.print(f"models: {', '.join(measured(chosen))}", highlight=False, markup=False)
    console.print("Nothing was measured: leave --dry-run out to make this run.", highlight=False)


def _paced(scenario: Scenario, level: Level, chosen: RunOptions) -> str:
    """ "closed 64 (12 rounds of 50 ms)"."""
    paced = plan.pace(scenario, level, chosen, plan.load_of(scenario, level, 0.0))
    rounds = "one window" if paced.rounds == 1 else f"{paced.rounds} rounds"
    return f"{level.label} ({rounds} of {duration(paced.window_s * 1e9)})"


def _everybody(chosen: RunOptions) -> str:
    """ "16 models", "3 models and 8 variants"."""
    names = [name for name in measured(chosen) if not is_aa_arm(name)]
    varied = sum(name in chosen.variants for name in names)
    plain = len({served_by(name) for name in names})
    return f"{plain} model{'s' * (plain != 1)}" + (f" and {varied} variant{'s' * (varied != 1)}" if varied else "")


def _questions(chosen: RunOptions) -> str:
    """The scenarios by name, or their number where they are many."""
    few = ", ".join(chosen.scenarios)
    return few if len(few) <= _NAMES_WIDTH else f"{len(chosen.scenarios)} scenarios"


def _long(seconds: float) -> str:
    """Minutes, or hours where they are many."""
    return f"{seconds / 60:.1f} min" if seconds < _LONG_S else f"{seconds / 3600:.1f} h"
