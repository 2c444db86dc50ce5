"""What there is to compare: finds models and scenarios by their files, and imports no model.

A model is a file in `servers/` whose name starts with a letter and which defines `serve`; a scenario is such a file in
`benchmarks/scenarios/` that defines SCENARIO. One that defines SCENARIOS instead holds several: of its keys, literal strings,
"" is the scenario of the file's name, and "20ms" in cpu.py is `cpu-20ms`. The first line of the docstring is the caption.
Nothing is registered anywhere.
"""

import ast
import functools
import importlib
from collections.abc import Sequence
from pathlib import Path

from benchmarks.nouns import Entry
from benchmarks.questions import Scenario

ROOT = Path(__file__).resolve().parent.parent
_SERVERS, _SCENARIOS = ROOT / "servers", ROOT / "benchmarks" / "scenarios"
_APART = "-"  # in a scenario's name, between its file's name and its key there


class NotInCatalogue(ValueError):
    """A name that no file has; the message lists those there are."""


def models(folder: Path = _SERVERS) -> list[Entry]:
    """All execution models, by name."""
    return [Entry(path.stem, caption(path, tree)) for path, tree in _files(folder) if "serve" in _top_level_names(tree)]


def scenarios(folder: Path = _SCENARIOS) -> list[Entry]:
    """All scenarios, by file and, of several in one, in the file's order."""
    return [
        Entry(f"{path.stem}{_APART}{key}", f"{caption(path, tree)} ({key})") if key else Entry(path.stem, caption(path, tree))
        for path, tree in _files(folder)
        for key in ([""] if "SCENARIO" in _top_level_names(tree) else _keys(path, tree))
    ]


def scenario(name: str) -> Scenario:
    """The scenario of that name. Raises NotInCatalogue."""
    choose([name], scenarios(), "scenario")
    stem, _, key = name.partition(_APART)
    module = importlib.import_module(f"benchmarks.scenarios.{stem}")
    found = module.SCENARIOS[key] if hasattr(module, "SCENARIOS") else module.SCENARIO
    assert isinstance(found, Scenario)
    return found


def tuned(model: str, folder: Path = _SERVERS) -> tuple[str, tuple[int, ...]] | None:
    """What a model's file says of its numbers, `TUNED = ("workers", (2, 4, 16))`: the option, and how many for each core."""
    path = folder / f"{model}.py"
    value = _value(_parsed(path), "TUNED")
    if value is None:
        return None
    option, multiples = ast.literal_eval(value)
    return str(option), tuple(int(each) for each in multiples)


def choose(names: Sequence[str], entries: Sequence[Entry], kind: str) -> tuple[str, ...]:
    """The given names, or all when none is given. Raises NotInCatalogue for one that is not there."""
    known = [entry.name for entry in entries]
    for name in names:
        if name not in known:
            raise NotInCatalogue(f"there is no {kind} {name!r}; there are: {', '.join(known)}")
    return tuple(dict.fromkeys(names)) if names else tuple(known)


def caption(path: Path, tree: ast.Module | None = None) -> str:
    """The first line of a file's docstring."""
    tree = tree or _parsed(path)
    return (ast.get_docstring(tree) or path.stem).splitlines()[0].strip()


def _files(folder: Path) -> list[tuple[Path, ast.Module]]:
    return [(path, _parsed(path)) for path in sorted(folder.glob("[a-z]*.py"))]


def _parsed(path: Path) -> ast.Module:
    return _parsed_once(path.read_text(encoding="utf-8"), str(path))


@functools.lru_cache(256)
def _parsed_once(source: str, name: str) -> ast.Module:
    """A file's tree, which nobody changes: the catalogue is asked often, and parsing takes a few milliseconds a file."""
    return ast.parse(source, name)


def _keys(path: Path, tree: ast.Module) -> list[str]:
    """The keys of a file's SCENARIOS. Raises NotInCatalogue where they can't be read without importing it."""
    value = _value(tree, "SCENARIOS")
    if value is None:
        return []
    keys = [key.value if isinstance(key, ast.Constant) else None for key in value.keys] if isinstance(value, ast.Dict) else []
    if not keys or not all(isinstance(key, str) for key in keys):
        raise NotInCatalogue(f"{path}: SCENARIOS must be a dictionary whose keys are literal strings")
    return [str(key) for key in keys]


def _value(tree: ast.Module, name: str) -> ast.expr | None:
    """What a module assigns to a name."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            assert isinstance(node, ast.Assign | ast.AnnAssign)
            return node.value
    return None


def _top_level_names(tree: ast.Module) -> set[str]:
    names = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return names
