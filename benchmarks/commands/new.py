"""`servebench new`: write a variant of a model, one file that runs, passes `check` and appears in `make bench`."""

import argparse
import ast
import keyword
import re
import sys
from pathlib import Path

from rich.console import Console

from benchmarks import catalogue
from benchmarks.commands._shared import BadUse, trouble
from benchmarks.conformance.peers import PEERS

LIKE = "thread_per_connection"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_DOCSTRING = '''"""{title}: like {like} so far; say in this line how it waits, it is the caption everywhere.

As it stands it serves, passes `servebench check` and is compared by `make bench`; now change how it waits. What must stay true:

- `serve(listener, converse, options, stop)` serves until the stop, then drains and returns. The listener is bound already.
- `converse()` makes a conversation, a generator of the five steps in `_steps.py`. Whoever runs it sends each step's result into
  it and throws failures into it (TimeoutError, ConnectionResetError); nobody else resumes or closes it.
- Clients come in through `_listening.Door`, which knows the limit of connections and what to do when descriptors run out.
- `stop.fileno()` becomes readable at SIGTERM and is never read. Then nobody new but those queued is let in, open connections
  are served for `linger_s`, idle ones released, and the rest is cut at `drain_s`.

Optional: `DEFAULTS`, a dict of option defaults, and `max_connections(options)`, how many conversations it serves at once.
Remove these paragraphs when you have read them, and say what a reader should learn from the file.
"""'''


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `servebench new`."""
    parser.add_argument("name", metavar="NAME", help="of the variant, and of its file: servers/NAME.py")
    parser.add_argument("--like", default=LIKE, metavar="MODEL", help=f"the model to begin from ({LIKE})")


def command(options: argparse.Namespace) -> int:
    """Write the file and say what to do next."""
    folder = catalogue.ROOT / "servers"
    path = _path(options.name, folder)
    catalogue.choose([options.like], catalogue.models(), "model")
    text = variant(options.name, options.like, (folder / f"{options.like}.py").read_text(encoding="utf-8"))
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise BadUse(f"{trouble(error)}; the variant must be written there") from None
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    console = Console()
    console.print(f"{shown}: {options.name}, like {options.like} so far. Next:", highlight=False)
    for words, what in (
        (f"servebench serve {options.name}", "run it, then: curl http://127.0.0.1:8080/hello"),
        (f"servebench check {options.name}", "hold it to the rules; again after each change"),
        (f'make bench ARGS="--models {options.name},{options.like}"', "see where it stands"),
    ):
        console.print(f"  {words:56} {what}", highlight=False, soft_wrap=True)
    return 0


def variant(name: str, like: str, source: str) -> str:
    """The source of a model under another name: the same code, with a docstring that says what to do."""
    body = ast.parse(source).body
    docstring = body[0]
    assert isinstance(docstring, ast.Expr), "a model begins with its docstring"
    assert docstring.end_lineno is not None
    rest = source.splitlines(keepends=True)[docstring.end_lineno :]
    title = name.replace("_", " ").capitalize()
    return _DOCSTRING.format(title=title, name=name, like=like) + "\n" + "".join(rest)


def _path(name: str, folder: Path) -> Path:
    """Where the variant goes. Raises BadUse for a name that can't be one."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise BadUse(f"{name!r} can't be a model's name: use small letters, digits and underscores, 40 at most, a letter first")
    if name in sys.stdlib_module_names or name == "gevent":
        raise BadUse(f"{name!r} is a module that models import; a file of that name would stand in its way. Choose another")
    if name in PEERS:
        raise BadUse(f"{name!r} is a server that `servebench check` knows as a peer. Choose another name")
    path = folder / f"{name}.py"
    if path.exists() or (folder / name).exists():
        raise BadUse(f"{path} exists already. Choose another name, or delete it")
    return path
