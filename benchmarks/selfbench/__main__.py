"""`python -m benchmarks.selfbench [QUESTION …]`: those named, or all but `aa`, `planted` and `versions`.

The status is 1 if a bound is missed. `aa` makes runs of its own, ten minutes of them, and `planted` half an hour of them, or as
`--runs N` and `--seconds S` say; `aa RUN` asks its question of a run that is there already. `versions FOLDER` compares the
models here with those of another checkout. `durability [OPTION …] [MODEL …]` measures nothing: it kills servers and looks for
what they had acknowledged (`durability --help`).
"""

import argparse
import os
import resource
import sys
from collections.abc import Callable
from functools import partial

from rich.console import Console

from benchmarks.selfbench import (
    aa,
    correctness,
    cost,
    crowd,
    durability,
    fidelity,
    field,
    floors,
    peers,
    planted,
    stall,
    versions,
)

QUESTIONS: dict[str, Callable[..., bool]] = {  # in the order in which they are asked
    "cost": cost.measure,
    "floors": floors.measure,
    "crowd": crowd.measure,
    "fidelity": fidelity.measure,
    "stall": stall.measure,
    "field": field.measure,
    "correctness": correctness.measure,
    "aa": aa.measure,
    "planted": planted.measure,
    "versions": versions.measure,
}
ABOUT = {"aa": "run", "versions": "other"}  # with one word more: what it is of
BY_NAME = ("aa", "planted", "versions")  # asked by name only
MADE = ("aa", "planted")  # with runs of their own


def main(arguments: list[str]) -> int:
    """Ask the questions in order; what needs a program that is not there is skipped, and said."""
    if arguments[:1] == ["durability"]:
        return durability.main(arguments[1:])
    options = _parser().parse_args(arguments)
    names: list[str] = options.names
    questions = dict(QUESTIONS)
    if len(names) == 2 and names[0] in ABOUT and names[1] not in QUESTIONS:
        questions[names[0]] = partial(QUESTIONS[names[0]], **{ABOUT[names[0]]: names[1]})
        names = names[:1]
    if unknown := set(names) - set(QUESTIONS):
        print(f"selfbench: there is no {sorted(unknown)[0]!r}; there are: {', '.join(QUESTIONS)}, durability", file=sys.stderr)
        return 2
    made = {name: value for name, value in (("runs", options.runs), ("seconds", options.seconds)) if value is not None}
    for name in MADE:
        questions[name] = partial(questions[name], **made)
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        print("selfbench: it needs two CPUs, one for the server and one for the load", file=sys.stderr)
        return 2
    server_cpu, driver_cpu = cpus[0], cpus[-1]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    peers.pin(driver_cpu)
    console, good = Console(width=max(Console().width, 120)), True
    for name in names or [question for question in QUESTIONS if question not in BY_NAME]:
        try:
            good &= questions[name](console, server_cpu, driver_cpu)
        except peers.Missing as missing:
            console.print(f"[bold]{name}[/]  skipped: {missing}")
        except versions.NoCheckout as wrong:
            print(f"selfbench: {wrong}", file=sys.stderr)
            return 2
    return 0 if good else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.selfbench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="QUESTION", help=f"{', '.join(QUESTIONS)}, durability")
    parser.add_argument("--runs", type=int, metavar="N", help="of aa and planted: how many")
    parser.add_argument("--seconds", type=float, metavar="S", help="of aa: of a level in a replicate; of planted: of a run")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
