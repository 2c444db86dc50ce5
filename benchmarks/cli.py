"""The command line: which commands there are. Each is a file of `benchmarks.commands`; the load engine has its own."""

import argparse
import io
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from benchmarks import catalogue, record
from benchmarks.commands import advise, check, compare, doctor, gate, listing, new, report, run
from benchmarks.commands._shared import BAD_USE, FAILED, INTERRUPTED, BadUse, trouble
from benchmarks.load import command as load


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0, 1 failed, 2 badly used, 130 interrupted."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] == ["serve"]:  # its options are the server's own
        here = os.pathsep.join(filter(None, (str(catalogue.ROOT), os.environ.get("PYTHONPATH"))))
        line = [sys.executable, "-P", "-m", "servers", *arguments[1:]]  # -P: not what lies in the working folder
        os.execve(sys.executable, line, os.environ | {"PYTHONPATH": here})
    options = _parser().parse_args(arguments)
    options.arguments = arguments
    for stream in (sys.stdout, sys.stderr):  # a terminal that knows ASCII alone gets a report with some "?"
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return int(options.command(options))
    except (BadUse, catalogue.NotInCatalogue, load.Refused, record.RecordError) as error:
        print(f"servebench: {error}", file=sys.stderr)
        return BAD_USE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:  # a full disk, a folder that may not be written
        print(f"servebench: {trouble(error)}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="servebench",
        description="The same application on every execution model, under the same load, measured honestly.",
        epilog="servebench COMMAND --help tells the options of a command.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, told: str, more: str = "") -> argparse.ArgumentParser:
        return commands.add_parser(name, help=told, description=f"{told[0].upper()}{told[1:]}.{more}")

    running = add("run", "compare execution models: make a run, print its verdict, draw its charts")
    run.add_arguments(running)
    running.set_defaults(command=run.command)
    checking = add("check", "hold models to the rules of HTTP and of this project, and show what is broken")
    check.add_arguments(checking)
    checking.set_defaults(command=check.command)
    writing = add("new", "write a variant of a model: a file that runs, passes the check and is compared")
    new.add_arguments(writing)
    writing.set_defaults(command=new.command)
    plotting = add("plot", "make summary and charts of a run anew from its records")
    report.add_arguments(plotting, markdown=False)
    plotting.set_defaults(command=report.plot)
    reporting = add("report", "print the report of a run")
    report.add_arguments(reporting, markdown=True)
    reporting.set_defaults(command=report.report)
    comparing = add("compare", "compare two runs, or two models of one, cell by cell; with bounds, a gate for CI")
    compare.add_arguments(comparing)
    comparing.set_defaults(command=compare.command)
    gating = add("gate", "compare two versions, or two models, interleaved in one run, and fail where the second is worse")
    gate.add_arguments(gating)
    gating.set_defaults(command=gate.command)
    advising = add("advise", "measure a workload on all models: who meets its objective, and who is cheapest")
    advise.add_arguments(advising)
    advising.set_defaults(command=advise.command)
    examining = add("doctor", "say what on this machine will hurt a measurement, and what to do about it")
    doctor.add_arguments(examining)
    examining.set_defaults(command=doctor.command)
    listed = add("list", "list the models and scenarios")
    listing.add_arguments(listed)
    listed.set_defaults(command=listing.command)
    loading = add("load", "drive load at a URL", " Only at servers that are yours.")
    load.add_arguments(loading)
    loading.set_defaults(command=load.command)
    commands.add_parser("serve", help="run one model as a server", add_help=False)
    return parser


if __name__ == "__main__":
    sys.exit(main())
