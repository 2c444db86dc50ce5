"""The wall: what is written comes back the same, and what is damaged is said to be."""

from dataclasses import replace

import factories
import msgspec
import pytest

from benchmarks import record
from benchmarks.nouns import SCHEMA
from benchmarks.summaries import RunSummary


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    record.write(folder / "run.json", factories.run())
    record.write(folder / "environment.json", {"schema": SCHEMA, "cpu_count": 2})
    for made in factories.records()[:4]:
        record.write(record.visit_path(folder, made), made)
    return folder


def test_a_run_comes_back_as_it_was_written(run):
    facts, records, environment = record.read_run(run)
    assert facts == factories.run()
    assert sorted(records, key=repr) == sorted(factories.records()[:4], key=repr)
    assert environment["cpu_count"] == 2
    assert not list(run.rglob("*.draft"))


def test_a_summary_comes_back_as_it_was_written(tmp_path):
    summary = factories.summary()
    record.write(tmp_path / "summary.json", summary)
    assert msgspec.json.decode((tmp_path / "summary.json").read_bytes(), type=RunSummary) == summary


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"schema": 2}'])
def test_a_damaged_visit_is_named(run, damage):
    path = next((run / "visits").glob("*.json"))
    path.write_bytes(damage)
    with pytest.raises(record.RecordError, match=path.name):
        record.read_run(run)


def test_another_schema_is_refused_with_both_numbers(run):
    record.write(run / "run.json", replace(factories.run(), schema=99))
    with pytest.raises(record.RecordError, match="schema 99; this servebench reads schema 2"):
        record.read_run(run)


def test_what_is_no_run_is_said_to_be_none(tmp_path):
    with pytest.raises(record.RecordError, match=r"no run\.json"):
        record.read_run(tmp_path)


def test_latest_points_at_the_newest_run(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        record.point_latest(tmp_path, tmp_path / name)
        assert (tmp_path / "latest").resolve() == (tmp_path / name).resolve()
