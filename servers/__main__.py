"""`python -m servers MODEL`: one execution model, serving the application until SIGTERM or SIGINT.

A model is a file of this folder whose name does not begin with an underscore; the first line of its docstring is its caption.
Nothing is imported to find that out, so a model whose runtime is missing hurts nobody else.
"""

import argparse
import ast
import functools
import importlib
import json
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from servers._listening import open_listener, raise_descriptor_limit
from servers._options import Options
from servers._stopping import Stop
from servers.conversations.app import in_pieces, mount, respond
from servers.conversations.bare import bare
from servers.conversations.http1 import Limits, http1
from servers.conversations.rest import Items
from servers.conversations.stores import SQLITE, Database, Unusable, opener

Record = TypeVar("Record")


def models() -> dict[str, str]:
    """Every model's name and caption, sorted by name."""
    files = sorted(Path(__file__).parent.glob("[!_]*.py"))
    return {file.stem: (ast.get_docstring(ast.parse(file.read_bytes())) or "").partition("\n")[0] for file in files}


def main(argv: list[str], prog: str = "python -m servers") -> int:
    """Serve as the command line asks; returns the exit status: 0 after a drain, 2 for what cannot be served (said on stderr).

    Raises SystemExit for `--help` (0) and for bad options (2). Prints one line of JSON on stdout when connections are accepted:
    `port`, `address`, `pid`, `model`; `max_connections`, how many conversations the model serves at once; `given`, those of its
    options that say how many workers or threads it has, as the model's GIVEN names them; `keepalive_requests` (0: no limit) and
    `keepalive_idle_s`, after which it closes a connection.
    """
    if sys.stdout is None:
        return refuse(prog, "stdout is closed, so nobody could read on which port it listens")
    parser = make_parser(prog)
    arguments = vars(parser.parse_args(argv))
    name, host, port, backlog, without_rules, folder, interval_s = (
        arguments.pop(key) for key in ("model", "host", "port", "backlog", "bare", "gc_account", "switch_interval")
    )
    if name not in models():
        parser.error(f"there is no model {name!r}; the models are {', '.join(models())}")
    room = raise_descriptor_limit()
    try:
        model = importlib.import_module(f"servers.{name}")
    except ModuleNotFoundError as missing:
        return refuse(prog, f"{name} needs {missing.name}, which is not installed")
    chosen = {"connections": room} | getattr(model, "DEFAULTS", {})
    chosen |= {field: value for field, value in arguments.items() if value is not None}
    chosen["connections"] = min(chosen["connections"], room)
    options, limits, database = pick(Options, chosen), pick(Limits, chosen), at_home(pick(Database, chosen))
    try:
        mount("/items", Items(opener(database)).respond)
        if folder:
            from servers._collections import Account

            Account(folder)
    except Unusable as reason:
        return refuse(prog, str(reason))
    except OSError as error:
        return refuse(prog, f"cannot keep an account in the folder {folder}: {error.strerror}")
    if interval_s:
        sys.setswitchinterval(interval_s)
    try:
        listener = open_listener(host, port, backlog)
    except (socket.gaierror, UnicodeError) as error:
        return refuse(prog, f"cannot resolve the host {host!r}: {getattr(error, 'strerror', error)}")
    except OSError as error:
        return refuse(prog, f"cannot listen on {host} port {port}: {error.strerror}")
    stop = Stop()
    stop.install()
    most = model.max_connections(options) if hasattr(model, "max_connections") else options.connections
    address, number = listener.getsockname()[:2]
    ready = {"port": number, "address": address, "pid": os.getpid(), "model": name, "max_connections": most}
    ready["given"] = {field: getattr(options, field) for field in getattr(model, "GIVEN", ())}
    ready |= {"keepalive_requests": limits.keepalive_requests, "keepalive_idle_s": limits.keepalive_idle_s}
    print(json.dumps(ready), flush=True)
    converse = functools.partial(http1, respond, stop, limits, in_pieces=in_pieces)
    try:
        model.serve(listener, functools.partial(bare, limits) if without_rules else converse, options, stop)
    finally:
        if database.own_folder and os.path.exists(database.own_folder):
            import shutil

            shutil.rmtree(database.own_folder, ignore_errors=True)
    return 0


def at_home(database: Database) -> Database:
    """Where no database was named, a file in a folder of this server's own, which nobody makes before it is needed.

    (The modules `tempfile` and `secrets` would bring 4 MiB of others with them, into each server's memory.)
    """
    if database.url:
        return database
    folder = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"servebench-items-{os.getpid()}-{os.urandom(8).hex()}")
    return replace(database, url=f"{SQLITE}{folder}/items.db", own_folder=folder)


def pick(record: type[Record], chosen: dict[str, Any]) -> Record:
    """A record with those of its fields chosen that the command line knows."""
    return record(**{field: chosen[field] for _, of, field, _, _ in SETTINGS if of is record and field in chosen})


def refuse(prog: str, reason: str) -> int:
    """Say in a line why nothing is served; returns the exit status."""
    print(f"{prog}: {reason}", file=sys.stderr)
    return 2


# ---------------------------------------------------------------- the command line


def number(low: int, high: int = 2**31) -> Callable[[str], int]:
    """A parser of whole numbers within these bounds."""

    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return parse


def seconds(text: str) -> float:
    """A parser of times; a day is the most."""
    try:
        value = float(text) if text.isascii() and "_" not in text else -1.0
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to 86400")
    return value


def interval(text: str) -> float:
    """A parser of times above 0, which CPython's setswitchinterval takes."""
    if not (value := seconds(text)) >= 1e-6:
        raise argparse.ArgumentTypeError(f"{text!r} is no time from 1e-6 s")
    return value


def pool_size(text: str) -> int:
    """A parser of how many connections, or none, which is 0."""
    return 0 if text == "none" else number(1, 10_000)(text)


def synchronous(text: str) -> bool:
    """A parser of how durable a write is; true: all the way."""
    if text not in ("full", "normal"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither full nor normal")
    return text == "full"


def database_url(text: str) -> str:
    """A URL, or as $NAME the variable of the environment that has it: the arguments of a process are for all to see."""
    if not text.startswith("$"):
        return text
    if not (url := os.environ.get(text[1:])):
        raise argparse.ArgumentTypeError(f"there is no variable {text[1:]} in the environment")
    return url


METAVARS: dict[Callable[[str], Any], str] = {
    seconds: "S",
    interval: "S",
    database_url: "URL|$NAME",
    pool_size: "N|none",
    synchronous: "full|normal",
}
SETTINGS: tuple[tuple[str, type, str, Callable[[str], Any], str], ...] = (
    ("--workers", Options, "workers", number(1, 10_000), "processes of models that prefork"),
    ("--threads", Options, "threads", number(1, 100_000), "threads of pools; in loops those for blocking functions"),
    ("--connections", Options, "connections", number(1), "most open connections; later clients wait in the kernel's queue"),
    ("--line-bytes", Limits, "line_bytes", number(16), "bytes of a request line"),
    ("--header-bytes", Limits, "header_bytes", number(16), "bytes of a request's header section"),
    ("--fields", Limits, "fields", number(1), "fields of a request's header section"),
    (
        "--body-bytes",
        Limits,
        "body_bytes",
        number(0),
        "bytes of a request's body that is held whole; /sink takes 1 GiB in pieces",
    ),
    ("--keepalive-requests", Limits, "keepalive_requests", number(0), "requests until a connection is closed, 0: no limit"),
    ("--keepalive-idle", Limits, "keepalive_idle_s", seconds, "seconds a connection may be silent between requests"),
    ("--head-timeout", Limits, "head_s", seconds, "seconds for a request's head, from its first byte"),
    ("--body-timeout", Limits, "body_s", seconds, "seconds between two reads of a request's body"),
    ("--send-timeout", Options, "send_s", seconds, "seconds in which a client must take some of a response"),
    ("--linger", Options, "linger_s", seconds, "seconds after a stop until idle connections are closed"),
    ("--drain", Options, "drain_s", seconds, "seconds after a stop until all connections are"),
    ("--database", Database, "url", database_url, "of /items: sqlite:PATH or postgresql://…; $NAME: a variable that has it"),
    ("--pool", Database, "pool", pool_size, "connections to it, of each process; none: one for each request"),
    (
        "--synchronous",
        Database,
        "full",
        synchronous,
        "what was acknowledged survives a loss of power, or (normal) only a crash",
    ),
    ("--database-timeout", Database, "patience_s", seconds, "seconds for one of its connections, and for what is asked"),
)
USUAL = {  # what a default is called, where it is not what the record says
    "connections": "what the limit of open files leaves",
    "url": "a file that is removed at the end",
    "full": "full",
}


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and exit with 2."""
        self.exit(refuse(self.prog, f"{message} (--help lists the options)"))


def make_parser(prog: str) -> Parser:
    """The options. Those without a default here have one in Options or Limits, which a model's DEFAULTS may override."""
    captions = "\n".join(f"  {name:24}{caption}" for name, caption in models().items())
    parser = Parser(
        prog=prog,
        description="Serve the application with one execution model, until SIGTERM or SIGINT.",
        epilog=f"models:\n{captions}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="one of the models below")
    add("--host", default="127.0.0.1", help="name or address to listen on, IPv4 or IPv6 (127.0.0.1)")
    add("--port", type=number(0, 65535), default=8080, metavar="N", help="0: a free one, said in the ready line (8080)")
    add("--backlog", type=number(1, 65535), default=4096, metavar="N", help="clients the kernel may queue (4096)")
    add("--bare", action="store_true", help="answer hello to anything, by no rule of HTTP: what do the rules cost?")
    for flag, record, field, kind, meaning in SETTINGS:
        usual = USUAL.get(field) or getattr(record(), field)
        add(flag, dest=field, type=kind, metavar=METAVARS.get(kind, "N"), help=f"{meaning} ({usual})")
    add("--switch-interval", type=interval, metavar="S", help="seconds until a thread is asked for the GIL (CPython's)")
    add("--gc-account", metavar="FOLDER", help="where each process counts its garbage collections (servers/_collections.py)")
    return parser


if __name__ == "__main__":
    status = main(sys.argv[1:])
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()
    os._exit(status)  # threads whose conversations outlived the drain must not hold the process
