"""`servebench doctor`: what on this machine will hurt a measurement, and what to do about it."""

import argparse
import sys
import time
from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks import doctor
from benchmarks.commands._run_options import choose_cpus, numbers
from benchmarks.commands._shared import BadUse
from benchmarks.nouns import MachineState
from benchmarks.summaries import Symptom

WATCH_S, QUICK_S, LONGEST_S = 20.0, 2.0, 3600.0
WATCH_S = 1.0
WIDEST = 120
_STYLES = {"poor": "bold red", "fair": "yellow", "good": "green"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `servebench doctor`."""
    parser.add_argument("--server-cpus", type=numbers, default=(), metavar="LIST", help="the first CPU, as in run")
    parser.add_argument("--driver-cpus", type=numbers, default=(), metavar="LIST", help="the last CPU, as in run")
    parser.add_argument(
        "--seconds", type=float, metavar="S", help=f"how long to watch the machine ({WATCH_S:g}; 0: not at all)"
    )
    parser.add_argument("--quick", action="store_true", help=f"watch the machine for {QUICK_S:g} s")
    parser.add_argument("--json", action="store_true", help="facts, symptoms and probes as JSON")


def command(options: argparse.Namespace) -> int:
    """Look at the machine and say what was seen. It is advice: the exit status is 0."""
    seconds = (QUICK_S if options.quick else WATCH_S) if options.seconds is None else options.seconds
    if not 0 <= seconds <= LONGEST_S:
        raise BadUse(f"--seconds {seconds:g} is not from 0 to {LONGEST_S:g}")
    server_cpus, driver_cpus = choose_cpus(options.server_cpus, options.driver_cpus)
    machine = doctor.facts(server_cpus, driver_cpus, WATCH_S)
    console = Console()
    if seconds and not options.json:
        console.print(f"watching the machine's speed for {seconds:g} s …", style="dim", highlight=False)
    probes = watch(server_cpus, driver_cpus, seconds) if seconds else []
    symptoms = doctor.diagnose(machine, probes)
    if options.json:
        told = {"machine": machine, "symptoms": symptoms, "machine_states": probes}
        print(msgspec.json.format(msgspec.json.encode(told), indent=1).decode())
        return 0
    console.print(sheet(symptoms), width=min(console.width, WIDEST), highlight=False)
    console.print(f"{doctor.count(symptoms)}. It is advice: a run measures all the same.", style="dim", highlight=False)
    return 0


def watch(server_cpus: Sequence[int], driver_cpus: Sequence[int], seconds: float) -> list[MachineState]:
    """Probe the machine for so long, one probe after the other, in an engine's process."""
    # Imported here: who only wants the table or the help should not wait for numba.
    from benchmarks.load.remote import EngineDied, RemoteEngine

    found: list[MachineState] = []
    try:
        with RemoteEngine(tuple(driver_cpus)) as engine:
            engine.probe(server_cpus[0])  # the first one may compile
            ends = time.monotonic() + seconds
            while not found or time.monotonic() < ends:
                found.append(engine.probe(server_cpus[0]))
    except EngineDied as trouble:
        print(f"servebench: the machine could not be watched any longer: {trouble}", file=sys.stderr)
    return found


def sheet(symptoms: Sequence[Symptom]) -> Table:
    """A line for each matter, worst first; beneath what hurts: why, and what to do."""
    table = Table.grid(padding=(0, 2))
    for column in ("grade", "name"):
        table.add_column(column, no_wrap=True)
    table.add_column(ratio=1)
    for symptom in symptoms:
        style = _STYLES[symptom.grade]
        table.add_row(Text(symptom.grade, style), Text(symptom.name, "bold"), Text(symptom.seen))
        if symptom.grade != "good":
            table.add_row("", "", Text(_sentence(symptom.why), "dim"))
            table.add_row("", "", Text(f"→ {symptom.remedy}"))
    return table


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."
