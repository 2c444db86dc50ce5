"""What a gate compares: a checkout's folder, a git revision, or a model; revisions are unpacked for as long as it takes."""

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from benchmarks import catalogue

_SERVERS = "servers"  # all that a server is made of
_SHORT = 10  # digits of a commit's name

Kind = Literal["model", "folder", "revision"]


class NoVersion(ValueError):
    """A name that is neither a checkout nor a revision nor a model; the message says what there is."""


@dataclass(frozen=True, slots=True)
class Version:
    """One of the two. `name` is what the user called it; `commit` that of a revision; `folder` holds its `servers/`."""

    name: str
    kind: Kind
    commit: str = ""
    folder: Path = catalogue.ROOT

    @property
    def models(self) -> tuple[str, ...]:
        """The models whose files it has and that this servebench knows."""
        known = [entry.name for entry in catalogue.models()]
        there = [entry.name for entry in catalogue.models(self.folder / _SERVERS)]
        return tuple(name for name in known if name in there)

    @property
    def told(self) -> str:
        """The name, with the commit of a revision: "main (4f2a0c91d3)"."""
        return f"{self.name} ({self.commit[:_SHORT]})" if self.commit else self.name


def version(name: str) -> Version:
    """What a name stands for: a folder that holds a checkout, else a model, else a revision. Raises NoVersion."""
    if name and (Path(name) / _SERVERS / "__main__.py").is_file():
        return Version(name, "folder", folder=Path(name).resolve())
    if name in (entry.name for entry in catalogue.models()):
        return Version(name, "model")
    found = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if found.returncode:
        said = found.stderr.decode(errors="replace").strip()
        why = f" ({said})" if said else ""
        raise NoVersion(f"{name!r} is no folder of a checkout, no git revision of {_repository()}{why}, and no model")
    return Version(name, "revision", commit=found.stdout.decode().strip())


@contextmanager
def unpacked(*versions: Version) -> Iterator[tuple[Version, ...]]:
    """The versions, each revision with its servers in a temporary folder, which is gone at the end. Raises NoVersion."""
    with tempfile.TemporaryDirectory(prefix="servebench-gate-") as room:
        yield tuple(_unpacked(one, Path(room, str(number))) for number, one in enumerate(versions))


def _unpacked(one: Version, folder: Path) -> Version:
    if one.kind != "revision":
        return one
    made = _git("archive", "--format=tar", one.commit, _SERVERS)
    if made.returncode:
        raise NoVersion(f"{one.told} can't be unpacked: {made.stderr.decode(errors='replace').strip()}")
    folder.mkdir()
    with tarfile.open(fileobj=io.BytesIO(made.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return replace(one, folder=folder)


def _git(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(["git", "-C", str(_repository()), *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        raise NoVersion("git is not installed: name the folders of two checkouts, or two models") from None


def _repository() -> Path:
    """The checkout that one stands in, else the one that this servebench is from."""
    here = Path.cwd()
    return here if (here / _SERVERS / "__main__.py").is_file() else catalogue.ROOT
