"""`servebench run`: plan, launch, verify, measure, record, analyse, plot, report; all of it, or what is left to do."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from benchmarks import catalogue, passwords, record
from benchmarks.commands._announced import announce, show_plan
from benchmarks.commands._run_options import add_arguments, check_cpus, more_replicates, only_resume, run_options
from benchmarks.commands._shared import FAILED, INTERRUPTED, BadUse, folder_of, show, summarise, trouble
from benchmarks.interpreters import Unusable
from benchmarks.nouns import served_by

__all__ = ["add_arguments", "command"]


def command(options: argparse.Namespace) -> int:
    """Make a run, or go on with one, and report it."""
    if options.resume:
        only_resume(options)
        return _resume(options)
    return _new(options)


def _new(options: argparse.Namespace) -> int:
    chosen = run_options(options)
    # Imported here: a wrong option should not wait for numba.
    from benchmarks import conduct
    from benchmarks.environment import environment

    folder: Path = options.results / chosen.name
    if folder.exists():
        raise _taken(folder)
    facts = conduct.facts(chosen, options.arguments)
    console = Console(stderr=options.json)
    machine = environment(chosen.server_cpus, chosen.driver_cpus)
    if options.dry_run:
        announce(console, chosen, facts.scenarios, machine)
        show_plan(console, chosen, facts.scenarios)
        return 0
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise _taken(folder) from None
    except OSError as error:
        raise BadUse(f"{folder} can't be made: {error.strerror}. Choose another place with --results") from None
    with record.held(folder):
        conduct.begin(facts, folder, machine)
        announce(console, chosen, facts.scenarios, machine)
        return _make(options, console, folder, [])


def _taken(folder: Path) -> BadUse:
    return BadUse(f"{folder} exists already. Choose another --name, delete it, or go on: servebench run --resume {folder.name}")


def _resume(options: argparse.Namespace) -> int:
    """Go on with a run: only what is missing or failed is made. Raises BadUse when the machine is another."""
    from benchmarks import conduct

    folder = _resumable(options.resume, options.results)
    console = Console(stderr=options.json)
    with record.held(folder):
        files = record.read(folder)
        more = ""
        if options.replicates is not None:
            before = files.facts.options
            wanted = more_replicates(before, options.replicates, conduct.complete(files))
            if wanted != before:
                more = f"{wanted.replicates} replicates instead of {before.replicates}"
                command = f"{files.facts.command}; servebench run --resume {before.name} --replicates {options.replicates}"
                files = replace(files, facts=replace(files.facts, options=wanted, command=command))
        differs: list[str] = []
        passwords.kept(options.database)
        if files.facts.options.database and not passwords.is_known(files.facts.options.database):
            url = files.facts.options.database
            raise BadUse(f"{folder} keeps items in {url}, and no password is written down: name it again with --database")
        if not conduct.complete(files):
            check_cpus(files.facts.options)
            catalogue.choose([served_by(name) for name in files.facts.options.models], catalogue.models(), "model")
            differs = _differs(files, folder)
        if differs and not options.anyway:
            raise BadUse(
                f"{folder} was begun on what is not the same now: {'; '.join(differs)}. Its parts would not be comparable. "
                "Restore that, make a new run, or go on with --anyway, which the report will say"
            )
        for said in record.repair(folder, files):
            console.print(said, style="yellow", markup=False, highlight=False)
        if more:
            record.write(folder / "journal.json", files.journal.asked(more))
            record.write(folder / "run.json", files.facts)
        return _make(options, console, folder, differs)


def _resumable(name: str, results: Path) -> Path:
    """The folder of the run to go on with. Raises BadUse."""
    for folder in (Path(name), results / name):
        if folder.is_dir() and not (folder / "run.json").exists() and (folder / "environment.json").exists():
            raise BadUse(f"{folder} was interrupted before it began: it is not a run. Delete it, and run again")
    return folder_of(name, results).resolve()  # "latest" would come to point at itself


def _differs(files: record.RunFiles, folder: Path) -> list[str]:
    """What is not as it was when the run was begun, in words."""
    from benchmarks.environment import differences, environment, versions

    options = files.facts.options
    now = environment(options.server_cpus, options.driver_cpus)
    if not files.environment:
        return [f"nobody knows which machine it was ({folder / 'environment.json'} is missing)"]
    try:
        return differences(files.environment, now, files.facts, replace(files.facts, versions=versions(options)))
    except Unusable as error:
        raise BadUse(str(error)) from None


def _make(options: argparse.Namespace, console: Console, folder: Path, differs: Sequence[str]) -> int:
    """Make what is left of a run, and report it."""
    from benchmarks import conduct
    from benchmarks.load.remote import EngineDied
    from benchmarks.progress import Progress

    files = record.read(folder)
    begins = time.monotonic()
    with Progress(files.facts.options, console, files.records) as progress:
        run = conduct.Run(files, folder, progress)
        complete = conduct.complete(files)
        if files.journal.sessions and not complete:
            made, left = len(files.records), len(run.left())
            console.print(f"resuming {folder}: {made} records are there, {left} are missing or have a failure", markup=False)
        try:
            if not complete:
                run.make(differs)
        except KeyboardInterrupt:
            progress.close()
            return _interrupted(console, folder)
        except EngineDied as died:  # between trials; within one it is that trial's failure
            progress.close()
            return _stopped(str(died), folder)
        except BrokenPipeError:
            raise  # nobody reads what is printed
        except OSError as error:
            progress.close()
            return _stopped(trouble(error), folder)
    if complete:
        console.print(f"{folder} is complete: nothing is left to make.", markup=False, highlight=False)
    if why := record.point_latest(folder.parent, folder):
        said = f"{folder.parent / 'latest'} does not point at this run: {why}"
        console.print(said, style="yellow", markup=False, highlight=False)
    summary = summarise(folder)
    show(summary, folder, console, options.json, options.charts, options.full)
    console.print(
        f"made in {(time.monotonic() - begins) / 60:.1f} min; seed {files.facts.options.seed}, command: {files.facts.command}",
        style="dim",
        markup=False,
        highlight=False,
    )
    return 0 if any(cell.rate_per_s is not None for cell in summary.cells) else FAILED


def _interrupted(console: Console, folder: Path) -> int:
    kept = len(record.record_files(folder))
    said = [f"\ninterrupted: {kept} finished records are kept in {folder}, and nothing is left running."]
    said += [f"See what they say with: servebench plot {folder}"] * bool(kept)
    said += [f"Resume with: servebench run --resume {folder}"]
    console.print("\n".join(said), markup=False, highlight=False)
    return INTERRUPTED


def _stopped(why: str, folder: Path) -> int:
    print(f"servebench: {why}. Finished records are kept. Resume with: servebench run --resume {folder}", file=sys.stderr)
    return FAILED
