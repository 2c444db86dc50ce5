"""The wall: one visit, one file, written at once. Left of it is a live server; right of it only these files.

`results/<run>/` holds run.json, environment.json, visits/<model>-<scenario>-<n>.json, and what is made of them: summary.json,
summary.md, charts/. A file appears whole or not at all.
"""

import os
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from benchmarks.nouns import SCHEMA, RunFacts, VisitRecord

Value = TypeVar("Value")


class RecordError(RuntimeError):
    """A run's files can't be used; the message says which and what to do."""


def write(path: Path, value: Any) -> None:
    """Write a value as JSON, whole or not at all."""
    write_bytes(path, msgspec.json.format(msgspec.json.encode(value), indent=1 if path.parent.name != "visits" else -1))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: the bytes reach the disk under another name first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".draft")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def visit_path(run: Path, record: VisitRecord) -> Path:
    """Where a visit's record goes."""
    return run / "visits" / f"{record.plan.model}-{record.plan.scenario}-{record.plan.number}.json"


def read_run(run: Path) -> tuple[RunFacts, list[VisitRecord], dict[str, Any]]:
    """A run's facts, its visits in the order they began, and its environment. Raises RecordError."""
    if not (run / "run.json").is_file():
        raise RecordError(f"{run} is not a run: it has no run.json. Runs are the folders in results/")
    facts = _read(run / "run.json", RunFacts)
    records = [_read(path, VisitRecord) for path in sorted((run / "visits").glob("*.json"))]
    if not records:
        raise RecordError(f"{run} holds no visit: the run was interrupted before its first visit ended. Run it again")
    return facts, sorted(records, key=lambda record: record.started_at), _read(run / "environment.json", dict[str, Any])


def _read(path: Path, kind: type[Value]) -> Value:
    try:
        data = path.read_bytes()
        schema = msgspec.json.decode(data, type=_Schema).schema
        if schema is not None and schema != SCHEMA:
            raise RecordError(f"{path} has schema {schema}; this servebench reads schema {SCHEMA}. Run the benchmark again")
        return msgspec.json.decode(data, type=kind)
    except FileNotFoundError:
        raise RecordError(f"{path} is missing. Run the benchmark again") from None
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise RecordError(f"{path} is damaged ({error}). Delete it, then run `servebench plot` again") from None


class _Schema(msgspec.Struct):
    schema: int | None = None


def point_latest(results: Path, run: Path) -> None:
    """Let results/latest point at the run."""
    draft = results / ".latest.draft"
    draft.unlink(missing_ok=True)
    draft.symlink_to(run.name)
    draft.replace(results / "latest")
