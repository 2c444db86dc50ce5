"""What `servebench run` says before it begins: what will be made, for how long, and what on this machine will hurt."""

from collections.abc import Mapping
from typing import Any

import msgspec
from rich.console import Console

from benchmarks import plan
from benchmarks.commands._run_options import listed
from benchmarks.nouns import RunOptions, is_twin, served_by, visited
from benchmarks.questions import Scenario
from benchmarks.summaries import Symptom

_LONG_S = 6000.0  # from here on in hours


def announce(console: Console, chosen: RunOptions, scenarios: Mapping[str, Scenario], machine: Mapping[str, Any]) -> None:
    """A line or two about the run, then the machine's symptoms."""
    from benchmarks import doctor

    beyond = (
        f", then up to {_long(chosen.budget_s)} more for intervals of ±{100 * chosen.precision:g}%"
        if chosen.precision is not None
        else ""
    )
    console.print(
        f"{_everybody(chosen)} × {', '.join(chosen.scenarios)}: {len(plan.visits(chosen))} visits, about "
        f"{_long(plan.run_s(chosen, scenarios))}{beyond}; server on CPU {listed(chosen.server_cpus)}, load from CPU "
        f"{listed(chosen.driver_cpus)}; seed {chosen.seed}",
        highlight=False,
    )
    for name, variant in chosen.variants.items():
        if variant.scenarios:
            console.print(
                f"{name} is visited in {', '.join(variant.scenarios)} alone: it serves nothing else",
                style="dim",
                highlight=False,
            )
    for line in doctor.worst(msgspec.convert(machine.get("symptoms", []), list[Symptom])):
        console.print(line, style="yellow", highlight=False, markup=False)
    if set(chosen.server_cpus) & set(chosen.driver_cpus):
        console.print(
            "Server and load share a CPU: the results are not comparable. They measure the scheduler too.", style="bold red"
        )


def show_plan(console: Console, chosen: RunOptions, scenarios: Mapping[str, Scenario]) -> None:
    """Who would be visited, where and how often, at which levels, and how long it takes."""
    for name, scenario in scenarios.items():
        who = visited(chosen, name)
        visit_s = plan.visit_s(scenario, chosen)
        visits = chosen.visits[name]
        console.print(
            f"[bold]{name}[/]  {visits} visits of each of {len(who)}, {visit_s:.1f} s each: about "
            f"{_long(visits * (len(who) * visit_s + plan.BLOCK_S))}",
            highlight=False,
        )
        labels = [level.label for level in plan.levels(scenario, chosen)]
        search = [f"then the highest rate with {chosen.objective}"] if chosen.objective else []
        console.print(f"    {'; '.join([*labels, *search])}", style="dim", highlight=False, markup=False)
    console.print(f"models: {', '.join(visited(chosen))}", highlight=False, markup=False)
    console.print("Nothing was measured: leave --dry-run out to make this run.", highlight=False)


def _everybody(chosen: RunOptions) -> str:
    """ "16 models", "3 models and 8 variants"."""
    names = visited(chosen)
    varied = sum(name in chosen.variants for name in names)
    plain = len({served_by(name) for name in names}) + sum(map(is_twin, names))
    return f"{plain} model{'s' * (plain != 1)}" + (f" and {varied} variant{'s' * (varied != 1)}" if varied else "")


def _long(seconds: float) -> str:
    """Minutes, or hours where they are many."""
    return f"{seconds / 60:.1f} min" if seconds < _LONG_S else f"{seconds / 3600:.1f} h"
