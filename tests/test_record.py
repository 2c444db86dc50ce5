"""The wall: what is written comes back the same, and what is damaged is said to be."""

import random
import subprocess
import sys
from dataclasses import replace

import factories
import msgspec
import pytest
from PIL import Image

from benchmarks import catalogue, cli, histogram, journal, packing, record
from benchmarks.journal import Journal
from benchmarks.nouns import SCHEMA
from benchmarks.summaries import RunSummary

MADE = tuple(
    replace(made, trials=[replace(made.trials[0], measurements=made.trials[0].measurements[:2])])
    for made in factories.records()[:4]
)  # small ones: they are read thousands of times


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    record.write(folder / "run.json", factories.run())
    record.write(folder / "environment.json", {"schema": SCHEMA, "cpu_count": 2})
    record.write(folder / "journal.json", Journal().begun().ended())
    for made in MADE:
        record.write(record.record_path(folder, made), made)
    return folder


def test_a_run_comes_back_as_it_was_written(run):
    facts, records, environment = record.read_run(run)
    assert facts == factories.run()
    assert sorted(records, key=repr) == sorted(MADE, key=repr)
    assert environment["cpu_count"] == 2
    assert not list(run.rglob("*.draft"))


def test_packed_records_are_read_as_they_are_and_a_damaged_one_is_told(run):
    before = record.read_run(run)
    paths = sorted((run / "records").iterdir())
    subprocess.run(["gzip", "-9", "-n", *paths[1:]], check=True)
    subprocess.run(["gzip", "-k", paths[0]], check=True)  # there as both: it counts once
    assert record.read_run(run) == before
    assert [path.suffix for path in record.record_files(run)] == [".json", ".gz", ".gz", ".gz"]
    packed = record.record_files(run)[1]
    for harm in (lambda data: data[:-20], lambda data: b"{}" + data, lambda data: data[:200] + b"x" * 50 + data[250:]):
        whole = packed.read_bytes()
        packed.write_bytes(harm(whole))
        (damaged,) = record.read(run).damaged
        assert damaged.path == packed
        assert "is damaged" in damaged.why
        packed.write_bytes(whole)


def test_of_a_packed_runs_charts_those_stay_that_a_text_links(tmp_path):
    charts, text = tmp_path / "charts", tmp_path / "README.md"
    charts.mkdir()
    for name in ("matrix", "pairs"):
        Image.effect_noise((300, 200), 9.0).convert("RGB").save(charts / f"{name}.png")
    (charts / "matrix.svg").touch()
    text.write_text("![Which model?](results/reference/charts/matrix.png)")
    before = (charts / "matrix.png").stat().st_size
    packing.keep_pictures(charts, [text])
    assert [path.name for path in charts.iterdir()] == ["matrix.png"]
    with Image.open(charts / "matrix.png") as picture:
        assert (picture.mode, picture.size) == ("P", (300, 200))
    assert (charts / "matrix.png").stat().st_size < before


def test_a_run_is_packed_into_one_file_and_read_as_before(run):
    before = record.read_run(run)[1]
    path = packing.pack(run)
    assert [one.name for one in run.iterdir() if one.is_file()].count(path.name) == 1
    assert not (run / "records").exists()
    after = record.read_run(run)[1]
    assert [(one.scenario, one.replicate, one.packed) for one in after] == [
        (one.scenario, one.replicate, True) for one in before
    ]
    for first, second in zip(before, after, strict=True):
        for one, other in zip(first.trials, second.trials, strict=True):
            for old, new in zip(one.measurements, other.measurements, strict=True):
                assert histogram.total(new.load.response) == histogram.total(old.load.response)
                assert new.load.response.sum_ns == old.load.response.sum_ns
                assert new.rounds.completed == old.rounds.completed
                if old.load.response.index:
                    exact, kept = (histogram.quantile_ns(made.load.response, 0.9) for made in (old, new))
                    assert exact <= kept <= 1.11 * exact
    path.write_bytes(path.read_bytes()[:-100])
    assert [one.path for one in record.read(run).damaged] == [path]


def test_a_summary_comes_back_as_it_was_written(tmp_path):
    summary = factories.summary()
    record.write(tmp_path / "summary.json", summary)
    assert msgspec.json.decode((tmp_path / "summary.json").read_bytes(), type=RunSummary) == summary


def test_a_full_disk_names_the_file_and_leaves_no_draft(tmp_path):
    path = tmp_path / "run.json"
    path.write_bytes(b"before")
    (tmp_path / "run.json.draft").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device") as raised:
        record.write(path, factories.run())
    assert raised.value.filename == str(path)
    assert [found.read_bytes() for found in tmp_path.iterdir()] == [b"before"]


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda run: (run / "summary.json.draft").symlink_to("/dev/full"), "{}/summary.json: No space left on device"),
        (lambda run: (run / "summary.md.draft").mkdir(), "{}/summary.md: Is a directory"),
        (lambda run: (run / "charts").write_bytes(b""), "{}/charts: File exists"),
    ],
)
def test_a_place_that_cannot_be_written_is_told_in_a_line(run, capsys, harm, told):
    harm(run)
    assert cli.main(["plot", str(run)]) == 1
    assert capsys.readouterr().err == f"servebench: {told.format(run)}\n"


def test_a_name_that_no_file_can_have_is_told_in_a_line(tmp_path, capsys):
    assert cli.main(["report", "x" * 300, "--results", str(tmp_path)]) == 1
    assert capsys.readouterr().err.endswith(": File name too long\n")


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"schema": 3}'])
def test_a_damaged_record_is_named(run, damage):
    path = next((run / "records").glob("*.json"))
    path.write_bytes(damage)
    with pytest.raises(record.RecordError, match=path.name):
        record.read_run(run)


def test_another_schema_is_refused_with_both_numbers(run):
    record.write(run / "run.json", replace(factories.run(), schema=99))
    with pytest.raises(
        record.RecordError,
        match=r"schema 99; this servebench reads schema 4\. Read it with the servebench that made it, or measure anew: ",
    ):
        record.read_run(run)


def test_what_is_no_run_is_said_to_be_none(tmp_path):
    with pytest.raises(record.RecordError, match=r"no run\.json"):
        record.read_run(tmp_path)


def test_latest_points_at_the_newest_run(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        assert record.point_latest(tmp_path, tmp_path / name) == ""
        assert (tmp_path / "latest").resolve() == (tmp_path / name).resolve()


def test_a_folder_that_stands_where_latest_would_is_left_alone_and_told(tmp_path):
    (tmp_path / "latest").mkdir()
    (tmp_path / "latest" / "mine").touch()
    (tmp_path / "run").mkdir()
    assert "directory" in record.point_latest(tmp_path, tmp_path / "run")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "run"]
    assert (tmp_path / "latest" / "mine").exists()


def kinds(run):
    """A file of each kind that holds what was measured."""
    return [run / "run.json", run / "environment.json", run / "journal.json", sorted((run / "records").glob("*.json"))[0]]


def flipped(data, chance):
    """One bit changed anywhere."""
    at, bit = chance.randrange(len(data)), chance.randrange(8)
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def digit_changed(data, chance):
    """A digit that became another: valid JSON of the right types, and wrong."""
    at = next(at for at in iter(lambda: chance.randrange(len(data)), None) if chr(data[at]).isdigit())
    return data[:at] + (b"%d" % ((data[at] - ord("0") + chance.randrange(1, 10)) % 10)) + data[at + 1 :]


def cut(data, chance):
    """The beginning of the file, as far as a disk had it."""
    return data[: chance.randrange(len(data))]


def hole(data, chance):
    """A part that reads as zeros, as after a crash of the machine."""
    at = chance.randrange(len(data))
    return data[:at] + bytes(len(data[at : at + 512])) + data[at + 512 :]


@pytest.mark.parametrize("damage", [flipped, digit_changed, cut, hole])
@pytest.mark.parametrize("kind", range(4))
def test_no_damage_becomes_a_traceback_or_a_wrong_number(run, kind, damage):
    whole, path, chance = record.read(run), kinds(run)[kind], random.Random(f"{kind} {damage.__name__}")
    data = path.read_bytes()
    noticed = 0
    for _ in range(60):
        path.write_bytes(damage(data, chance))
        said, found = attempt(run)
        if said or found.damaged:
            assert path.name in (said or found.damaged[0].why)
            assert "\n" not in said
            noticed += 1
        else:  # white space, or the name of the seal
            known = {name: found.environment[name] for name in whole.environment}
            assert replace(found, environment=known) == whole
    assert noticed > 30


def attempt(run):
    """What reading a run says against it, and what it gives."""
    try:
        return "", record.read(run)
    except record.RecordError as error:
        return str(error), None


def test_a_file_without_a_seal_is_read(run):
    for path in kinds(run):
        told = msgspec.json.decode(path.read_bytes())
        assert told.pop("crc32")
        path.write_bytes(msgspec.json.encode(told))
    assert record.read(run).records == sorted(MADE, key=lambda made: made.started_at)


def test_a_number_edited_under_its_seal_is_noticed(run):
    path = kinds(run)[3]
    told = msgspec.json.decode(path.read_bytes())
    told["trials"][0]["measurements"][0]["load"]["completed"] += 1
    path.write_bytes(msgspec.json.encode(told))
    assert "seal" in record.read(run).damaged[0].why


def test_a_record_under_another_name_is_noticed(run):
    path = kinds(run)[3]
    path.rename(path.with_name("elsewhere-0.json"))
    assert "misnamed" in record.read(run).damaged[0].why


def test_repair_keeps_what_is_damaged_and_clears_what_was_never_finished(run):
    path = kinds(run)[3]
    for number in range(2):
        path.write_bytes(b"{" * (number + 1))
        (run / "records" / "x.json.draft").write_bytes(b"{")
        (run / "summary.json.draft").write_bytes(b"{")
        said = record.repair(run, record.read(run))
        assert sum("never finished" in line for line in said) == 2
        assert sum("set aside" in line for line in said) == 1
    assert sorted(aside.read_bytes() for aside in (run / "damaged").iterdir()) == [b"{", b"{{"]
    assert not list(run.rglob("*.draft"))
    assert len(record.read(run).records) == 3
    assert record.read(run).damaged == []


def test_a_damaged_run_json_says_what_can_be_done(run):
    (run / "run.json").write_bytes(b"{")
    with pytest.raises(record.RecordError, match=r"run\.json is damaged .* restore it, or make a new run"):
        record.read(run)


def test_a_folder_is_held_by_one_harness_at_a_time_and_let_go_when_it_dies(run):
    code = (
        "import sys, pathlib; from benchmarks import cli, record\n"
        "with record.held(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=catalogue.ROOT
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(record.RecordError, match="another servebench"), record.held(run):
            pass
        holder.kill()
        holder.wait(60)
        with record.held(run):
            pass


def test_the_history_of_a_run_is_told():
    begun = Journal().begun()
    assert [finding.check for finding in journal.findings(begun.ended(), [])] == []
    assert [finding.check for finding in journal.findings(begun, [])] == ["unfinished"]
    resumed = begun.begun().ended()
    assert [(finding.check, finding.severity) for finding in journal.findings(resumed, [])] == [("resumed", "info")]
    elsewhere = begun.begun(["governor powersave and performance"]).ended()
    told = journal.findings(elsewhere, ["hello-0.json"])
    assert [(finding.check, finding.severity) for finding in told] == [
        ("unreadable records", "warning"),
        ("resumed", "warning"),
    ]
    assert "governor powersave and performance" in told[1].observed
    assert journal.findings(Journal(), []) == []
