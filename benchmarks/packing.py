"""`python -m benchmarks.packing RUN [TEXT …]`: make a run small, to be committed: its records in one file, evidence.json.xz.

What a summary is made of stays: counts, times, the values of each round. Histograms become coarse, by buckets of 3% at the
levels that measures and predictions stand on and of 10% elsewhere, counts and sums exact; of the engine's pauses the long ones
stay and the others are joined; completions of connections are kept in order of size. A report of the packed run is therefore
the same but for the last digits of percentiles.

With a TEXT, only those of the charts stay that it links, as PNG with a palette, a third of the bytes; and the summary goes, as
`servebench report` makes it again.
"""

import argparse
import lzma
import math
import re
import sys
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

import msgspec
from PIL import Image

from benchmarks import histogram, record
from benchmarks.nouns import SCHEMA, ClassResult, Histogram, LoadResult, Measurement, ReplicateRecord, RunFacts
from benchmarks.questions import Metric, Scenario

FINE, ROUGH = 0.03, 0.10  # the width of a bucket
COLOURS = 256  # of a picture's palette
PAUSES_KEPT = 16  # the longest of a measurement, singly


def pack(run: Path) -> Path:
    """Write the evidence of a run and remove the records it is made of. Raises RecordError if one can't be read."""
    facts, records, _ = record.read_run(run)
    evidence = record.Evidence(SCHEMA, [packed(one, facts) for one in records])
    path = run / record.EVIDENCE
    record.write_bytes(path, lzma.compress(msgspec.json.encode(evidence), preset=9))
    for made in record.record_files(run):
        made.unlink()
    (run / "records").rmdir()
    return path


def packed(made: ReplicateRecord, run: RunFacts) -> ReplicateRecord:
    """The record in few bytes."""
    if made.packed:
        return made
    read = _levels_read(run.scenarios[made.scenario])
    trials = [
        replace(
            trial,
            measurements=[_measurement(one, read) for one in trial.measurements],
            probes=[_measurement(one, ()) for one in trial.probes],
        )
        for trial in made.trials
    ]
    return replace(made, trials=trials, packed=True)


def _levels_read(scenario: Scenario) -> set[str]:
    """The labels of the levels that measures and predictions stand on."""
    found: set[str] = set()
    for first in [*(one.metric for one in scenario.measures), *(one.metric for one in scenario.predictions)]:
        metric: Metric | None = first
        while metric is not None:
            found.add(metric.level)
            metric = metric.by
    return found


def _measurement(made: Measurement, read: Collection[str]) -> Measurement:
    rounds = replace(
        made.rounds,
        at_s=[round(at_s, 2) for at_s in made.rounds.at_s],
        seconds=[round(seconds, 6) for seconds in made.rounds.seconds],
    )
    return replace(made, load=_load(made.load, FINE if made.level.label in read else ROUGH), rounds=rounds)


def _load(load: LoadResult, width: float) -> LoadResult:
    return replace(
        load,
        response=coarse(load.response, width),
        service=coarse(load.service, width),
        send_lag=coarse(load.send_lag, ROUGH),
        own_lag=coarse(load.own_lag, ROUGH),
        connect=coarse(load.connect, ROUGH),
        censored=coarse(load.censored, width),
        gaps=_pauses(load.gaps),
        per_connection=sorted(load.per_connection),
        passed_over=sorted(load.passed_over),
        classes={label: _class(one, width) for label, one in load.classes.items()},
    )


def _class(one: ClassResult, width: float) -> ClassResult:
    return replace(
        one,
        response=coarse(one.response, width),
        service=coarse(one.service, ROUGH),
        censored=coarse(one.censored, width),
    )


def _pauses(gaps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest pauses, and all shorter ones as so many of their mean length. Where they began is not kept."""
    longest = sorted((length for _, length in gaps), reverse=True)
    kept, others = longest[:PAUSES_KEPT], longest[PAUSES_KEPT:]
    mean_ns = round(sum(others) / len(others)) if others else 0
    return [(0, length) for length in kept] + [(0, mean_ns)] * len(others)


def coarse(values: Histogram, width: float) -> Histogram:
    """The histogram in buckets of this relative width, each at the highest of its values' own; sum and extremes stay exact."""
    found: dict[int, tuple[int, int]] = {}
    for index, count in zip(values.index, values.count, strict=True):
        bucket = math.floor(math.log(max(histogram.bounds_ns(index)[1], 1)) / math.log1p(width))
        found[bucket] = index, found.get(bucket, (0, 0))[1] + count
    return replace(
        values, index=[index for index, _ in found.values()], count=[count for _, count in found.values()], coarse=True
    )


def keep_pictures(charts: Path, texts: Iterable[Path]) -> None:
    """Remove all charts but those that one of the texts links, and make these smaller."""
    linked = {name for text in texts for name in re.findall(r"charts/([\w-]+\.png)\)", text.read_text(encoding="utf-8"))}
    for path in charts.iterdir():
        if path.name in linked:
            with Image.open(path) as picture:
                picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
        else:
            path.unlink()


def main() -> int:
    """Pack the run that is named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.packing", description="Make a run small, to be committed.")
    parser.add_argument("run", type=Path, metavar="RUN", help="its folder")
    parser.add_argument(
        "texts", type=Path, nargs="*", metavar="TEXT", help="keep of its charts what these link, and no summary"
    )
    options = parser.parse_args()
    try:
        path = pack(options.run)
        if options.texts:
            keep_pictures(options.run / "charts", options.texts)
            (options.run / "summary.json").unlink(missing_ok=True)
    except (record.RecordError, OSError) as error:
        print(f"servebench: {error}", file=sys.stderr)
        return 2
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
