"""The wall: one scenario of one replicate, one file, written at once. Left of it are live servers; right of it files.

`results/<run>/` holds run.json, environment.json, journal.json, records/<scenario>-<replicate>.json, and what is made of them:
summary.json, summary.md, charts/. A file appears whole or not at all. Records may be packed with gzip(1), to a tenth of their
size; they are read as they are. `benchmarks.packing` packs all of a run into one file, evidence.json.xz, to be committed.

What was measured is sealed: the last member of its JSON is the CRC-32 of the rest, white space left out. A type check does not
see a flipped digit; a CRC sees every change within 32 bits in a row, and of the others all but one in four billion (Peterson &
Brown, "Cyclic Codes for Error Detection", Proc. IRE 49, 1961). It guards against damage, not against intent: whoever edits a
file takes its seal off. A file without one is read.
"""

import fcntl
import gzip
import lzma
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from benchmarks.journal import Journal
from benchmarks.nouns import SCHEMA, Planned, ReplicateRecord, RunFacts

Value = TypeVar("Value")

_MAKE_ANEW = "Read it with the servebench that made it, or measure anew: servebench run"
_DRAFT, _PACKED = ".draft", ".gz"
_RECORDS = "records"  # the folder of a run's records
EVIDENCE = "evidence.json.xz"  # all of them in one file
_UNPACKING = (gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError)  # what damaged data raise
_AWKWARD = re.compile(r"[^\w.~-]", re.ASCII)
_SEAL = re.compile(rb',"crc32":"([0-9a-f]{8})"\}$')


class RecordError(RuntimeError):
    """A run's files can't be used; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class Damaged:
    """A record that can't be read, and why."""

    path: Path
    why: str


@dataclass(frozen=True, slots=True)
class RunFiles:
    """All that a run's folder says, its records in the order they began."""

    facts: RunFacts
    records: list[ReplicateRecord]
    environment: dict[str, Any]
    journal: Journal
    damaged: list[Damaged]


@dataclass(frozen=True, slots=True)
class Evidence:
    """evidence.json.xz: the records of a whole run in one file."""

    schema: int
    records: list[ReplicateRecord]


# ---------------------------------------------------------------- writing


def write(path: Path, value: Any, sealed: bool = True) -> None:
    """Write a value as JSON, whole or not at all. What can be made again from other files needs no seal."""
    text = msgspec.json.encode(value)
    text = _sealed(text) if sealed else text
    write_bytes(path, msgspec.json.format(text, indent=1 if path.parent.name != _RECORDS else -1))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: the bytes reach the disk under another name first. An OSError names the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + _DRAFT)
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:  # write(2) and fsync(2), which find the disk full, know a descriptor only
        with suppress(OSError):
            draft.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from None


def record_path(run: Path, planned: Planned | ReplicateRecord) -> Path:
    """Where a record goes: hello-0.json."""
    return run / _RECORDS / f"{_AWKWARD.sub('_', planned.scenario)}-{planned.replicate}.json"


def record_files(run: Path) -> list[Path]:
    """The files of a run's records, plain and packed, by name; of one that is there as both (`gzip -k`) the plain."""
    plain = set((run / _RECORDS).glob("*.json"))
    packed = [path for path in (run / _RECORDS).glob(f"*.json{_PACKED}") if path.with_suffix("") not in plain]
    return sorted([*plain, *packed])


def point_latest(results: Path, run: Path) -> str:
    """Let results/latest point at the run. Returns why that can't be, as where a folder stands there; else an empty string."""
    draft = results / ".latest.draft"
    try:
        draft.unlink(missing_ok=True)
        draft.symlink_to(run.name)
        draft.replace(results / "latest")
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        return error.strerror or str(error)
    return ""


@contextmanager
def held(run: Path) -> Iterator[None]:
    """Keep other harnesses off a run's folder. Raises RecordError when one is at work in it.

    The kernel lets go of the lock when its holder dies, however that happens (flock(2)), so that none is ever left behind.
    """
    folder = os.open(run, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(folder)
        raise RecordError(f"{run} is being made by another servebench. Wait for it to end, or end it") from None
    except OSError:
        pass  # a file system without such locks (flock(2), NFS): better unguarded than unusable
    try:
        yield
    finally:
        os.close(folder)


# ---------------------------------------------------------------- reading


def read_run(run: Path) -> tuple[RunFacts, list[ReplicateRecord], dict[str, Any]]:
    """A run's facts, its records in the order they began, and its environment. Raises RecordError if anything is damaged."""
    files = read(run)
    if files.damaged:
        raise RecordError(f"{files.damaged[0].why}. Set it aside and make it again with: servebench run --resume {run}")
    return files.facts, some_of(files, run), files.environment


def some_of(files: RunFiles, run: Path) -> list[ReplicateRecord]:
    """The records. Raises RecordError when there is none to say anything about."""
    if not files.records:
        lost = (
            f": {len(files.damaged)} files are damaged" if files.damaged else ": it was interrupted before its first one ended"
        )
        raise RecordError(f"{run} holds no record{lost}. Go on with it: servebench run --resume {run}")
    return files.records


def read(run: Path) -> RunFiles:
    """All that can be read of a run. Raises RecordError for what nothing can be said without; damaged records are listed."""
    if not (run / "run.json").is_file():
        raise RecordError(f"{run} is not a run: it has no run.json. Runs are the folders in results/")
    facts = _read(run / "run.json", RunFacts, "Without it nobody knows what was measured: restore it, or make a new run")
    environment: dict[str, Any] = {}
    if (run / "environment.json").exists():
        remedy = f"Restore it; or delete it, then: servebench run --resume {run} --anyway"
        environment = _read(run / "environment.json", dict[str, Any], remedy)
    environment.pop("crc32", None)
    damaged: list[Damaged] = []
    records = {(one.scenario, one.replicate): one for one in _evidence(run, damaged)}
    for path in record_files(run):
        try:
            one = _read_record(run, path)
            records[one.scenario, one.replicate] = one
        except RecordError as error:
            damaged.append(Damaged(path, str(error)))
    try:
        journal = _read(run / "journal.json", Journal) if (run / "journal.json").exists() else Journal()
    except RecordError as error:
        journal = Journal()
        damaged.append(Damaged(run / "journal.json", str(error)))
    return RunFiles(facts, sorted(records.values(), key=lambda record: record.started_at), environment, journal, damaged)


def _read_record(run: Path, path: Path) -> ReplicateRecord:
    record = _read(path, ReplicateRecord)
    if (belongs := record_path(run, record)).name != path.name.removesuffix(_PACKED):
        raise RecordError(f"{path} is misnamed: it holds {belongs.name}")
    return record


def _evidence(run: Path, damaged: list[Damaged]) -> list[ReplicateRecord]:
    """The records that are packed into one file, if there is one."""
    path = run / EVIDENCE
    if not path.exists():
        return []
    try:
        return _read(path, Evidence).records
    except RecordError as error:
        damaged.append(Damaged(path, str(error)))
        return []


def _read(path: Path, kind: type[Value], remedy: str = "") -> Value:
    remedy = f". {remedy}" if remedy else ""
    try:
        data = _unpacked(path)
        head = msgspec.json.decode(data, type=_Head)
        if head.crc32 is not None and not _seal_holds(data):
            raise RecordError(f"{path} is damaged (its content is not what its seal says){remedy}")
        if head.schema is not None and head.schema != SCHEMA:
            raise RecordError(f"{path} has schema {head.schema}; this servebench reads schema {SCHEMA}. {_MAKE_ANEW}")
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, *_UNPACKING) as error:
        raise RecordError(f"{path} is damaged ({error}){remedy}") from None
    except OSError as error:
        raise RecordError(f"{path} can't be read ({error.strerror}){remedy}") from None


def _unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    if path.name == EVIDENCE:
        return lzma.decompress(data)
    return gzip.decompress(data) if path.suffix == _PACKED else data


class _Head(msgspec.Struct):
    schema: int | None = None
    crc32: str | None = None


def _sealed(text: bytes) -> bytes:
    """Compact JSON of an object, sealed."""
    return text[:-1] + b',"crc32":"%08x"}' % zlib.crc32(text)


def _seal_holds(data: bytes) -> bool:
    compact = msgspec.json.format(data, indent=-1)
    seal = _SEAL.search(compact)
    return seal is not None and zlib.crc32(compact[: seal.start()] + b"}") == int(seal[1], 16)


# ---------------------------------------------------------------- repair


def repair(run: Path, files: RunFiles) -> list[str]:
    """Clear away what a killed harness left half-written, and set damaged files aside; says what was done.

    Nothing is lost by it: a draft is what never became a file, and a damaged file is kept in `damaged/`.
    """
    done = []
    for draft in sorted([*run.glob(f"*{_DRAFT}"), *(run / _RECORDS).glob(f"*{_DRAFT}")]):
        draft.unlink()
        done.append(f"removed {draft}, which was never finished")
    for one in files.damaged:
        aside = _unused(run / "damaged" / one.path.name)
        aside.parent.mkdir(exist_ok=True)
        one.path.replace(aside)
        done.append(f"{one.why}: set aside as {aside}")
    return done


def _unused(path: Path) -> Path:
    """The path, or the first with a number behind it that no file has."""
    candidate, number = path, 1
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate
