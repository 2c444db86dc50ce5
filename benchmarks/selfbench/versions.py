"""What has a change cost? Each model as it is here and as it is in another checkout, in turn, on one core."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Console

from benchmarks import catalogue
from benchmarks.launch import Server
from benchmarks.selfbench import floors

ROUNDS = 9


@dataclass(frozen=True, slots=True)
class Pace:
    """Hello in a closed loop: throughput, and the server's CPU for each request."""

    rate_per_s: float
    cpu_us: float


class NoCheckout(ValueError):
    """A folder that holds no servebench; the message says what to do."""


def pace(model: str, cpu: int, options: Sequence[str] = (), folder: Path | None = None) -> Pace:
    """A fresh server's pace on one core. Raises RuntimeError on any error."""
    with Server(model, [cpu], options, folder) as server:
        load = floors.hello(server.facts.port, server.facts.pid)
    return Pace(load.completed / load.seconds, load.server_cpu_ns / 1e3 / load.completed)


Ask = Callable[[str], Pace]


def measure(console: Console, server_cpu: int, _driver_cpu: int, other: str = "") -> bool:
    """Print, for each model that both checkouts have, the other one's pace and this one's by it. Raises NoCheckout."""
    folder = Path(other)
    if not (folder / "servers" / "__main__.py").is_file():
        raise NoCheckout(f"{other or 'versions'}: no checkout of servebench is there; name its folder: versions ../before")
    models = [entry.name for entry in catalogue.models() if (folder / "servers" / f"{entry.name}.py").is_file()]
    return compared(
        console, f"versions[/]  hello here, by hello in {folder}", models, lambda model: pace(model, server_cpu, folder=folder),
        lambda model: pace(model, server_cpu),
    )  # fmt: skip


def compared(console: Console, title: str, models: Sequence[str], first: Ask, second: Ask) -> bool:
    """Print the ratios of the second to the first, taken in turn in each round; never a verdict, so always True."""
    console.print(f"[bold]{title}; one core, {floors.CONNECTIONS} connections, {ROUNDS} rounds in turn")
    console.print(
        "  medians of the rates, of their ratio (least to most), of the server's CPU a request and what it grew by; its least"
    )
    for model in models:
        rounds = []
        for number in range(ROUNDS):
            if number % 2:  # who comes second has the warmer machine
                later = second(model)
                rounds.append((first(model), later))
            else:
                rounds.append((first(model), second(model)))
        rates = [after.rate_per_s / before.rate_per_s for before, after in rounds]
        costs = [after.cpu_us - before.cpu_us for before, after in rounds]
        before, after = ([pair[at] for pair in rounds] for at in (0, 1))
        console.print(
            f"  {model:22} {_thousands(before)} → {_thousands(after)}  {_range(rates, '.3f')}   "
            f"{median(one.cpu_us for one in before):6.2f} µs {_range(costs, '+.2f')}   "
            f"{min(one.cpu_us for one in before):5.2f} → {min(one.cpu_us for one in after):5.2f} µs",
            highlight=False,
        )
    return True


def _thousands(paces: Sequence[Pace]) -> str:
    return f"{median(one.rate_per_s for one in paces) / 1e3:6.1f}k/s"


def _range(values: Sequence[float], how: str) -> str:
    return f"{median(values):{how}} ({min(values):{how}} to {max(values):{how}})"
