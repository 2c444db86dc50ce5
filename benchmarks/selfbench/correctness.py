"""What does it cost to be correct? Hello through the whole HTTP conversation, and through one that looks at nothing."""

from functools import partial

from rich.console import Console

from benchmarks import catalogue
from benchmarks.selfbench.versions import compared, pace


def measure(console: Console, server_cpu: int, _driver_cpu: int) -> bool:
    """Print, for each model, the pace of `--bare` and the whole conversation's by it."""
    models = [entry.name for entry in catalogue.models()]
    return compared(
        console,
        "correctness[/]  hello with every rule kept, by hello to whatever ends in an empty line",
        models,
        partial(pace, cpu=server_cpu, options=("--bare",)),
        partial(pace, cpu=server_cpu),
    )
