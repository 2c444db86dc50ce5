"""`python -m benchmarks.quoting results/reference [SCENARIO …]`: what a run says, as rows that a text can quote.

A text about a run repeats its numbers. Each is a row `| scenario | model | what | value |`, printed here and found again by a
test, so that no text says what the run does not. `--into TEXT` brings the values of a text's rows up to those of the run.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from benchmarks.amounts import between, ranged, shown
from benchmarks.pair_words import counted, ranking_measure
from benchmarks.record import write_bytes
from benchmarks.summaries import Estimate, RunSummary, ScenarioSummary, Unit

NO_NUMBER = "no number"
ALL = "all"  # in the place of a model: what is said of all of them


def rows(summary: RunSummary) -> Iterator[tuple[str, str, str, str]]:
    """Scenario, model, what was measured and its value: of peaks and all measures with the range in which they moved, their
    ratios to the best and what was predicted with the 95% interval, and how many pairs differ."""
    for scenario in summary.scenarios:
        yield from dict.fromkeys(_rows(scenario))


def _rows(scenario: ScenarioSummary) -> Iterator[tuple[str, str, str, str]]:
    if scenario.pairs.total:
        yield scenario.scenario, ALL, "pairs", counted(scenario.pairs, ranking_measure(scenario).margin)
    for standing in scenario.standings:
        yield scenario.scenario, standing.model, "peak", absolute(standing.peak_per_s, "rate")
        for described, found in zip(scenario.measures, standing.results, strict=False):
            yield scenario.scenario, standing.model, described.title, absolute(found.value, described.unit)
            ratio = between(found.ratio) if found.ratio else NO_NUMBER
            yield scenario.scenario, standing.model, f"{described.title}, ratio to the best", ratio
    for judged in scenario.predictions:
        yield scenario.scenario, judged.model, judged.measured, value(judged.estimate, judged.unit)


def absolute(estimate: Estimate | None, unit: Unit) -> str:
    """A value of this machine; with the range in which it moved, if that is more than 5%."""
    return NO_NUMBER if estimate is None else ranged(estimate, unit)


def value(estimate: Estimate | None, unit: Unit) -> str:
    """A value and its interval in words."""
    if estimate is None:
        return NO_NUMBER
    if estimate.low is None or estimate.high is None:
        return shown(estimate.value, unit)
    return f"{shown(estimate.value, unit)} ({shown(estimate.low, unit)} to {shown(estimate.high, unit)})"


_ROW = re.compile(r"^\| `([^`|]+)` \| `([^`|]+)` \| ([^|]+) \| [^|]* \|$", re.MULTILINE)


class NotSaid(ValueError):
    """A text quotes what the run does not say; the message names the row."""


def quoted_anew(text: str, said: Mapping[tuple[str, str, str], str]) -> str:
    """The text with the value of each of its rows as the run has it. Raises NotSaid, which names all rows that it has not.

    A row of a text has scenario and model in backticks; other tables are left alone.
    """
    keys = [(found[1], found[2], found[3]) for found in _ROW.finditer(text)]
    if missing := [" | ".join(key) for key in keys if key not in said]:
        raise NotSaid(f"the run says nothing of {'; '.join(missing)}")
    return _ROW.sub(lambda found: f"| `{found[1]}` | `{found[2]}` | {found[3]} | {said[found[1], found[2], found[3]]} |", text)


def main(argv: list[str]) -> int:
    """Print the rows of a run, of these scenarios or of all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quoting", description="What a run says, as rows to quote.")
    parser.add_argument("run", type=Path, help="its folder, with the summary that servebench made")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="of these alone (all)")
    parser.add_argument("--into", type=Path, metavar="TEXT", help="write the values into the rows of this text")
    asked = parser.parse_args(argv)
    try:
        summary = msgspec.json.decode((asked.run / "summary.json").read_bytes(), type=RunSummary)
    except (OSError, msgspec.DecodeError) as error:
        parser.error(f"{asked.run}/summary.json can't be read: {error}; servebench plot {asked.run} makes it from the records")
    there = [one.scenario for one in summary.scenarios]
    if unknown := set(asked.scenarios) - set(there):
        parser.error(f"there is no {sorted(unknown)[0]!r} in {asked.run}; there are {', '.join(there)}")
    if asked.into is not None and asked.scenarios:
        parser.error("--into takes all rows of the text: leave SCENARIO out")
    if asked.into is not None:
        said = {(scenario, model, what): shown for scenario, model, what, shown in rows(summary)}
        try:
            write_bytes(asked.into, quoted_anew(asked.into.read_text(), said).encode())
        except (OSError, NotSaid) as error:
            parser.error(f"{asked.into}: {error}")
        return 0
    for row in rows(summary):
        if not asked.scenarios or row[0] in asked.scenarios:
            print(f"| {' | '.join(row)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
