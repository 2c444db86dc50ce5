"""Other interpreters for the servers: an environment for each, made once in `.venv-pythons/`, with what servers need.

The harness stays where it is; of a server under another interpreter it knows a command line and a ready line, as of any. What
is installed there are the packages of the extra `servers` in pyproject.toml, in the versions of constraints.txt, from wheels:
nobody needs a compiler. Only httptools, without which no model runs, is built where there is no wheel of it. What can't be
installed is missing, and the models that need it fail, saying so.

On a free-threaded build an extension that doesn't declare that it needs no GIL turns it on again for the whole process (PEP
703). So whether it is on is asked after httptools has been imported, and is part of the name.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ".venv-pythons"
OLDEST = (3, 11)
NEEDED = "httptools"
_READY = "servebench.json"  # in an environment that is complete
_NO_NETWORK = (
    "Failed to establish a new connection",
    "Temporary failure in name resolution",
    "ConnectTimeoutError",
    "ProxyError",
)

_ASK = """
import json, platform, sys, sysconfig
free = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
try:
    import httptools
except ImportError:
    pass
print(json.dumps({
    "path": sys._base_executable if hasattr(sys, "_base_executable") else sys.executable,
    "release": list(sys.version_info[:3]), "version": platform.python_version(), "build": " ".join(platform.python_build()),
    "implementation": sys.implementation.name, "free_threaded": free,
    "gil": sys._is_gil_enabled() if hasattr(sys, "_is_gil_enabled") else True, "text": sys.version,
}))
"""


class Unusable(ValueError):
    """An interpreter that can't be used; the message says why and what to do."""


class _Told(msgspec.Struct, frozen=True):
    """What an interpreter says of itself."""

    path: str
    release: tuple[int, int, int]
    version: str
    build: str
    implementation: str
    free_threaded: bool
    gil: bool
    text: str


@dataclass(frozen=True, slots=True)
class Interpreter:
    """An interpreter with an environment for servers. `python` is relative to the checkout."""

    python: str
    version: str
    build: str
    free_threaded: bool
    gil: bool  # whether it is on while servers run
    missing: tuple[str, ...] = ()  # packages that could not be installed
    implementation: str = "cpython"
    pins: str = ""  # digest of what was asked to be installed

    @property
    def name(self) -> str:
        """As part of a variant's name: "python3.12"; "python3.13t", free-threaded, "python3.13t with GIL" where it is on."""
        return self._name(".".join(self.version.split(".")[:2]))

    @property
    def full_name(self) -> str:
        """The name with the whole version, for two of one minor version."""
        return self._name(self.version)

    @property
    def words(self) -> str:
        """Version, build, GIL and what is missing, for people."""
        without = f", without {' and '.join(self.missing)}" if self.missing else ""
        return f"{self.version} ({self.build}), GIL {'on' if self.gil else 'off'}{without}"

    def _name(self, version: str) -> str:
        kind = "python" if self.implementation == "cpython" else self.implementation
        return f"{kind}{version}" + ("" if not self.free_threaded else "t with GIL" if self.gil else "t")


def prepared(names: Sequence[str], say: Callable[[str], None], root: Path = ROOT) -> list[Interpreter]:
    """Each named interpreter with its environment, made if it is not there; of two names of one interpreter the first.

    Raises Unusable. `say` is told what takes time, and what is missing.
    """
    made: dict[str, Interpreter] = {}
    for name in names:
        one = _prepare(name, say, root)
        made.setdefault(one.python, one)
    return list(made.values())


def labels(interpreters: Sequence[Interpreter]) -> dict[str, Interpreter]:
    """By the shortest names that tell them apart."""
    found: dict[str, Interpreter] = {}
    for one in interpreters:
        alike = [other for other in interpreters if other.name == one.name]
        label = one.name if len(alike) == 1 else one.full_name
        number = 1 + sum(name.partition(" #")[0] == label for name in found)
        found[label if number == 1 else f"{label} #{number}"] = one
    return found


def read(python: str, root: Path = ROOT) -> Interpreter:
    """The interpreter of an environment that was made before. Raises Unusable when it is not there any more."""
    folder = (root / python).parent.parent
    try:
        found = msgspec.json.decode((folder / _READY).read_bytes(), type=Interpreter)
        if (root / python).exists():
            return found
    except (OSError, msgspec.DecodeError):
        pass
    raise Unusable(
        f"{python}, an environment for servers, is not there any more: make it with servebench run --python --dry-run"
    )


def packages(root: Path = ROOT) -> list[str]:
    """What servers need: the extra `servers` of pyproject.toml."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return list(project["optional-dependencies"]["servers"])


# ---------------------------------------------------------------- making one


def _prepare(name: str, say: Callable[[str], None], root: Path) -> Interpreter:
    program, told = _found(name)
    if told.release[:2] < OLDEST:
        raise Unusable(f"--python {name} is Python {told.version}; servers need {OLDEST[0]}.{OLDEST[1]} or newer")
    wanted = packages(root)
    constraints = root / "constraints.txt"
    pins = hashlib.sha256("\n".join([*wanted, constraints.read_text(encoding="utf-8")]).encode()).hexdigest()[:16]
    mark = hashlib.sha256(f"{told.path} {told.text}".encode()).hexdigest()[:8]
    folder = root / FOLDER / f"{told.version}{'t' if told.free_threaded else ''}-{mark}"
    python = f"{FOLDER}/{folder.name}/bin/python"
    try:
        if (there := read(python, root)).pins == pins:
            return there
    except Unusable:
        pass
    say(f"making {FOLDER}/{folder.name} (once): an environment of {name} with {', '.join(wanted)} …")
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(exist_ok=True)
        missing = _install(program, name, folder, wanted, constraints, root)
        told = _ask(str(root / python), name)
        made = Interpreter(
            python, told.version, told.build, told.free_threaded, told.gil, tuple(missing), told.implementation, pins
        )
        (folder / _READY).write_bytes(msgspec.json.encode(made))
    except OSError as error:
        raise Unusable(f"--python {name}: {error.filename or folder}: {error.strerror}") from None
    for package, why in missing.items():
        say(f"{package} can't be installed under {made.name} ({why}): models that need it will fail there")
    if made.free_threaded and made.gil:
        say(f"{made.version} has no GIL of its own, but {NEEDED} turns it on; PYTHON_GIL=0 in the environment keeps it off")
    return made


def _found(name: str) -> tuple[str, _Told]:
    """The first program of that name that is an interpreter: a shim of pyenv's may hide another behind it on the PATH."""
    folders = [None] if os.sep in name else os.environ.get("PATH", os.defpath).split(os.pathsep)
    programs = [program for folder in folders if (program := shutil.which(os.path.expanduser(name), path=folder))]
    if not programs:
        raise Unusable(f"--python {name}: there is no such interpreter; give a path, or a name on the PATH such as python3.12")
    for program in programs[:-1]:
        try:
            return program, _ask(program, name)
        except Unusable:
            continue
    return programs[-1], _ask(programs[-1], name)


def _ask(python: str, name: str) -> _Told:
    try:
        done = subprocess.run([python, "-W", "ignore", "-c", _ASK], capture_output=True, text=True, timeout=30, cwd="/")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unusable(f"--python {name} can't be run: {error}") from None
    try:
        return msgspec.json.decode(done.stdout.strip(), type=_Told)
    except (msgspec.DecodeError, msgspec.ValidationError):
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        of_pyenv = next((line for line in said if line.startswith("pyenv:")), "")  # the rest of what its shims say is advice
        why = of_pyenv or (said[-1].strip() if said else f"status {done.returncode}")
        raise Unusable(f"--python {name} is no interpreter that servers can use: {why}") from None


def _install(program: str, name: str, folder: Path, wanted: Sequence[str], constraints: Path, root: Path) -> dict[str, str]:
    """Make the environment; what could not be installed, and why. Raises Unusable."""
    done = subprocess.run([program, "-m", "venv", str(folder)], capture_output=True, text=True, cwd="/")
    if done.returncode:
        version = ".".join(re.findall(r"\d+", Path(program).name)[:2]) or "3"
        said = (done.stderr + done.stdout).strip().splitlines()
        raise Unusable(
            f"--python {name} has no working venv and pip ({said[-1].strip() if said else 'it says nothing'}); "
            f"on Debian and Ubuntu: sudo apt-get install python{version}-venv"
        )
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-input",
           "--constraint", str(constraints)]  # fmt: skip
    others = [each for each in wanted if _bare(each) != NEEDED]
    if why := _pip([*pip, "--prefer-binary", *(each for each in wanted if each not in others)], name):
        raise Unusable(f"--python {name}: {NEEDED}, which all models need, can't be installed there ({why})")
    missing = {}
    if others and _pip([*pip, "--only-binary", ":all:", *others], name):
        for each in others:
            if why := _pip([*pip, "--only-binary", ":all:", each], name):
                missing[_bare(each)] = why
    site = next((folder / "lib").glob("python*/site-packages"))
    (site / "servebench.pth").write_text(f"{root}\n", encoding="utf-8")  # behind the packages, so it hides none
    return missing


def _pip(command: Sequence[str], name: str) -> str:
    """Why nothing was installed; empty when all was. Raises Unusable without a network."""
    done = subprocess.run(command, capture_output=True, text=True, cwd="/")
    if done.returncode == 0:
        return ""
    if any(sign in done.stderr for sign in _NO_NETWORK):
        raise Unusable(f"--python {name}: pip can't reach its index. Its environment is made once and needs the network for it")
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
    return (errors or done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1].removeprefix("ERROR: ").strip()


def _bare(requirement: str) -> str:
    """The package of a requirement: "psycopg[binary]; python_version < '4'" -> "psycopg"."""
    found = re.match(r"[\w.-]+", requirement)
    return found[0] if found else requirement
