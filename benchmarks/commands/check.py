"""`servebench check`: hold servers to the rules of HTTP and of this project; say what is broken, with the bytes."""

import argparse
import resource
import shlex
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil
from rich.console import Console

from benchmarks import catalogue, record
from benchmarks.commands._shared import FAILED, BadUse, trouble
from benchmarks.conformance import suite, told
from benchmarks.conformance.peers import PEERS
from benchmarks.conformance.rule import Report
from benchmarks.conformance.rules import PARTS
from benchmarks.conformance.subjects import Model, Subject
from benchmarks.selfbench.peers import Missing

JOBS_MOST = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `servebench check`."""
    add = parser.add_argument
    add("models", nargs="*", metavar="MODEL", help=f"models or peers ({', '.join(PEERS)}); all models if none is named")
    add("--peers", action="store_true", help="all models, and beside them the peers that are installed")
    add("--fast", action="store_true", help="only what `servebench run` asks before any timing: what needs no waiting")
    add("--part", type=_words, default=(), metavar="A,B", help=f"only these parts: {', '.join(PARTS)}")
    add("--rule", type=_words, default=(), metavar="A,B", help="only these rules")
    add("--repeat", type=int, default=1, metavar="N", help="ask every rule so often; it is kept if it was kept each time")
    add("--jobs", type=int, default=1, metavar="N", help="examine so many servers at the same time; most of it is waiting (1)")
    add("--list", action="store_true", help="list the rules, and examine nobody")
    add("--write", type=Path, metavar="DIR", help="write the table of servers and rules, its picture and all outcomes there")
    add("--json", action="store_true", help="print all outcomes as JSON on stdout")


def command(options: argparse.Namespace) -> int:
    """Examine, and return 0 when every rule is kept; peers, unless they are named, are only compared."""
    parts, only = _parts(options), _rules(options.rule)
    if options.list:
        told.show_rules(Console(), parts)
        return 0
    if not 1 <= options.repeat <= 1000:
        raise BadUse(f"--repeat {options.repeat} is not from 1 to 1000")
    if not 1 <= options.jobs <= JOBS_MOST:
        raise BadUse(f"--jobs {options.jobs} is not from 1 to {JOBS_MOST}: more would be in each other's way")
    subjects = _subjects(options.models, options.peers)
    # A crowd of clients needs a descriptor each, as does the server for them, which inherits the limit.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    console = Console(stderr=options.json)
    reports = _examine(console, subjects, parts, only, options.repeat, options.jobs)
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(reports), indent=1).decode())
    if len(reports) > 1:
        told.show_table(console, reports)
    if options.write:
        _write(options.write, reports, shlex.join(["servebench", *options.arguments]))
        console.print(f"written: {options.write}/README.md, rules.png, outcomes.json", highlight=False)
    judged = {subject.name for subject in subjects if subject.ours or subject.name in options.models}
    return FAILED if any(report.broken for report in reports if report.subject in judged) else 0


def _examine(
    console: Console, subjects: Sequence[Subject], parts: Sequence[str], only: Sequence[str], repeat: int, jobs: int
) -> list[Report]:
    """Some servers at a time, in their order; each is told as soon as it and those before it are known.

    An interruption ends the servers, so that whoever waits for one goes on, and is stopped before the next rule.
    """
    now: dict[str, str] = {}
    interrupted = threading.Event()
    with console.status("starting …") as status, ThreadPoolExecutor(jobs) as pool:

        def examine(subject: Subject) -> Report | Missing:
            def tell(rule: str) -> None:
                if interrupted.is_set():
                    raise KeyboardInterrupt
                now[subject.name] = rule
                status.update(" · ".join(f"{name}: {rule}" for name, rule in now.items()))

            try:
                return suite.examine(subject, parts, only, repeat, tell)
            except Missing as missing:
                return missing
            finally:
                now.pop(subject.name, None)

        reports = []
        try:
            for subject, found in zip(subjects, pool.map(examine, subjects), strict=True):
                if isinstance(found, Missing):
                    console.print(f"{subject.name}: left out: {found}", style="yellow", highlight=False)
                    continue
                reports.append(found)
                told.show(console, found)
        except KeyboardInterrupt:
            interrupted.set()
            pool.shutdown(wait=False, cancel_futures=True)
            for child in psutil.Process().children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    child.kill()
            raise
    return reports


def _subjects(names: Sequence[str], peers: bool) -> list[Subject]:
    """Whom to examine. Raises NotInCatalogue."""
    models = catalogue.models()
    chosen = [name for name in names if name not in PEERS]
    subjects: list[Subject] = []
    if chosen or not names:
        subjects += [Model(name) for name in catalogue.choose(chosen, models, "model or peer")]
    named = [name for name in PEERS if peers or name in names]
    return subjects + [PEERS[name] for name in named]


def _parts(options: argparse.Namespace) -> tuple[str, ...]:
    if options.fast and options.part:
        raise BadUse(f"--fast is --part {','.join(suite.FAST)}; leave one of the two out")
    chosen = suite.FAST if options.fast else options.part or tuple(PARTS)
    if strange := [part for part in chosen if part not in PARTS]:
        raise BadUse(f"there is no part {strange[0]!r}; there are: {', '.join(PARTS)}")
    return tuple(part for part in PARTS if part in chosen)


def _rules(names: Sequence[str]) -> tuple[str, ...]:
    known = {rule.name for rules in PARTS.values() for rule in rules}
    if strange := [name for name in names if name not in known]:
        raise BadUse(f"there is no rule {strange[0]!r}; servebench check --list names them")
    return tuple(names)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _write(folder: Path, reports: Sequence[Report], command: str) -> None:
    """The page, its picture on light and dark paper, and the outcomes for machines."""
    from benchmarks import plot  # imported here: matplotlib is slow to load, and seldom wanted
    from benchmarks.charts import rules
    from benchmarks.charts._style import LIGHT

    try:
        record.write_bytes(folder / "README.md", told.as_markdown(reports, command).encode())
        record.write_bytes(folder / "outcomes.json", msgspec.json.format(msgspec.json.encode(reports), indent=0))
        for theme in plot.THEMES:
            stem = "rules" if theme is LIGHT else f"rules-{theme.name}"
            plot.save(rules.draw(reports, told.conditions(command), theme), folder / stem)
    except OSError as error:
        raise BadUse(f"{trouble(error)}; choose another folder with --write") from None
