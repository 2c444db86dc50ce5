"""The arms of one comparison, interleaved: copies, versions or models, measured together replicate after replicate.

A run (`conduct`) has a plan, holds all models to the rules, and demands that all answer the same bytes. A comparison of two
versions has none of that: it goes on until it knows enough, and a new version may answer otherwise, which is said and no
failure.
"""

import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.launch import compile_servers
from benchmarks.load.remote import RemoteEngine
from benchmarks.nouns import ReplicateRecord, RunFacts, RunOptions, Variant
from benchmarks.replicate import Replicate


def options(
    name: str,
    arms: Mapping[str, Variant | None],
    scenarios: Sequence[str],
    cpus: tuple[tuple[int, ...], tuple[int, ...]],
    replicates: int,
    level_s: float,
    seed: int,
) -> RunOptions:
    """The options of such a comparison. `arms` are by name, None for a model as it is; `cpus` those of servers and of load."""
    return RunOptions(
        name=name,
        profile="comparison",
        models=tuple(arms),
        scenarios=tuple(scenarios),
        replicates=replicates,
        level_s=level_s,
        long_s=0.0,
        connections=(),
        server_cpus=cpus[0],
        driver_cpus=cpus[1],
        seed=seed,
        variants={arm: variant for arm, variant in arms.items() if variant is not None},
    )


@contextmanager
def engine(driver_cpus: tuple[int, ...], folders: Iterable[Path] = ()) -> Iterator[RemoteEngine]:
    """A load engine with all descriptors that it may have, once the servers here and in these checkouts are compiled."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # inherited by engine and servers
    compile_servers([sys.executable])
    for folder in dict.fromkeys(folders):
        compile_servers([sys.executable], folder)
    with RemoteEngine(driver_cpus) as found:
        found.compile()
        yield found


def replicate(
    run: RunFacts, number: int, load: RemoteEngine, tell: Callable[[str, str], None] = lambda *_: None
) -> Iterator[ReplicateRecord]:
    """One replicate of all scenarios of a run, a record for each as it ends. `tell` is told scenario and stage."""
    yield from Replicate(run, number, load, tell, _EachItsOwn(), {}).make(run.options.scenarios)


class _EachItsOwn(dict[str, str]):
    """Digests of answers that hold no arm to the answer of another."""

    def setdefault(self, _scenario: str, digest: str = "") -> str:
        """Nothing is kept."""
        return digest


def made(run: RunFacts, load: RemoteEngine, seconds: float, fewest: int = 2) -> list[ReplicateRecord]:
    """As many replicates as fit into so many seconds, by the longest so far; at least `fewest`."""
    begins, longest_s, records, number = time.monotonic(), 0.0, list[ReplicateRecord](), 0
    while number < fewest or time.monotonic() - begins + longest_s < seconds:
        started = time.monotonic()
        records += replicate(run, number, load)
        longest_s, number = max(longest_s, time.monotonic() - started), number + 1
    return records
