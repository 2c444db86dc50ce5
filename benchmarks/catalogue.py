"""What there is to compare: finds models and scenarios by their files, and imports no model.

A model is a file in `servers/` whose name starts with a letter and which defines `serve`; a scenario is such a file in
`benchmarks/scenarios/` that defines SCENARIO. The first line of the docstring is the caption. Nothing is registered anywhere.
"""

import ast
import importlib
from collections.abc import Sequence
from pathlib import Path

from benchmarks.nouns import Entry, Scenario

ROOT = Path(__file__).resolve().parent.parent
_SERVERS, _SCENARIOS = ROOT / "servers", ROOT / "benchmarks" / "scenarios"


class NotInCatalogue(ValueError):
    """A name that no file has; the message lists those there are."""


def models(folder: Path = _SERVERS) -> list[Entry]:
    """All execution models, by name."""
    return _entries(folder, "serve")


def scenarios(folder: Path = _SCENARIOS) -> list[Entry]:
    """All scenarios, by name."""
    return _entries(folder, "SCENARIO")


def scenario(name: str) -> Scenario:
    """The scenario of that name. Raises NotInCatalogue."""
    choose([name], scenarios(), "scenario")
    found = importlib.import_module(f"benchmarks.scenarios.{name}").SCENARIO
    assert isinstance(found, Scenario)
    return found


def choose(names: Sequence[str], entries: Sequence[Entry], kind: str) -> tuple[str, ...]:
    """The given names, or all when none is given. Raises NotInCatalogue for one that is not there."""
    known = [entry.name for entry in entries]
    for name in names:
        if name not in known:
            raise NotInCatalogue(f"there is no {kind} {name!r}; there are: {', '.join(known)}")
    return tuple(dict.fromkeys(names)) if names else tuple(known)


def _entries(folder: Path, definition: str) -> list[Entry]:
    found = []
    for path in sorted(folder.glob("[a-z]*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        if definition in _top_level_names(tree):
            caption = (ast.get_docstring(tree) or path.stem).splitlines()[0].strip()
            found.append(Entry(path.stem, caption))
    return found


def _top_level_names(tree: ast.Module) -> set[str]:
    names = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return names
