"""`servebench gate`: what may be compared, what is measured of it, how long, and what its status, JSON and JUnit say."""

import json
import math
import os
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import factories
import pytest

from benchmarks import arms, catalogue, checkouts, gating, plan
from benchmarks.cli import main
from benchmarks.commands import gate as command
from benchmarks.comparison import Row
from benchmarks.gates import Gate, Judged, parse
from benchmarks.nouns import ReplicateRecord, RunFacts
from benchmarks.stats.difference import Difference

ROOT = Path(__file__).parent.parent

# ---------------------------------------------------------------- versions


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """A repository of two commits, in which one stands; the second has one model less."""
    folder = tmp_path / "repository"
    shutil.copytree(ROOT / "servers", folder / "servers", ignore=shutil.ignore_patterns("__pycache__"))

    def git(*arguments: str) -> None:
        told = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *told, *arguments], cwd=folder, check=True, capture_output=True)

    git("init", "-q", "-b", "trunk")
    git("add", ".")
    git("commit", "-q", "-m", "First")
    git("tag", "first")
    (folder / "servers" / "poll_loop.py").unlink()
    git("commit", "-q", "-a", "-m", "Second")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.usefixtures("repository")
def test_a_revision_is_unpacked_for_as_long_as_it_takes():
    first, second = checkouts.version("first"), checkouts.version("trunk")
    assert (first.kind, second.kind) == ("revision", "revision")
    assert first.commit != second.commit
    assert second.told == f"trunk ({second.commit[:10]})"
    with checkouts.unpacked(first, second) as (one, other):
        assert (one.folder / "servers" / "poll_loop.py").is_file()
        assert not (other.folder / "servers" / "poll_loop.py").exists()
        assert set(one.models) - set(other.models) == {"poll_loop"}
        room = one.folder.parent
    assert not room.exists()


@pytest.mark.usefixtures("repository")
def test_an_interrupt_leaves_no_folder_behind():
    rooms = []

    def interrupted() -> None:
        with checkouts.unpacked(checkouts.version("first")) as (one,):
            rooms.append(one.folder.parent)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not rooms[0].exists()


def test_a_folder_comes_before_a_model_and_that_before_a_revision(repository):
    assert checkouts.version(".").kind == "folder"
    assert checkouts.version(".").folder == repository
    subprocess.run(["git", "tag", "epoll_loop"], cwd=repository, check=True)
    assert checkouts.version("epoll_loop").kind == "model"
    with checkouts.unpacked(checkouts.version(".")) as (one,):
        assert one.folder == repository


@pytest.mark.parametrize("name", ["nowhere", "--help", "servers", ""])
@pytest.mark.usefixtures("repository")
def test_what_is_no_version_is_told(name):
    with pytest.raises(checkouts.NoVersion, match="no folder of a checkout, no git revision of"):
        checkouts.version(name)


def test_a_revision_without_servers_is_told(repository):
    subprocess.run(["git", "rm", "-q", "-r", "--cached", "servers"], cwd=repository, check=True)
    told = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *told, "commit", "-q", "--allow-empty", "-m", "Third"], cwd=repository, check=True)
    with pytest.raises(checkouts.NoVersion, match="can't be unpacked"), checkouts.unpacked(checkouts.version("HEAD")):
        pass


# ---------------------------------------------------------------- what is measured


def of(name: str, worse: float | None = 0.03, *bounds: str) -> gating.Asked:
    return gating.asked(name, catalogue.scenario(name), worse, [parse(text) for text in bounds])


def test_the_first_measure_is_gated_by_its_own_direction():
    (bound, about) = of("hello").bounds[0]
    assert (bound.text, bound.below, bound.bound) == ("rate<-3%", True, pytest.approx(0.97))
    assert (about.metric.level, about.more_is_better) == ("closed 16", True)
    (bound, about) = of("mixed", 0.1).bounds[0]
    assert (bound.text, bound.below, bound.bound) == ("mean>+10%", False, pytest.approx(1.1))
    assert (about.metric.label, about.margin) == ("hello", 0.1)


def test_only_the_levels_that_are_judged_are_measured():
    options = factories.options(models=("epoll_loop",), scenarios=("hello",))

    def levels(asked: gating.Asked) -> list[str]:
        return [level.label for level in plan.levels(asked.scenario, replace(options, quick=True))]

    assert levels(of("hello")) == ["closed 16"]
    assert levels(of("hello", 0.03, "cpu>+5%", "p99>+10%")) == ["closed 16", "open 5000/s"]
    assert levels(of("hello", None, "p99>+10%")) == ["open 5000/s"]
    assert levels(of("mixed")) == ["open 800/s"]
    assert levels(of("cpu-digest")) == ["closed 16", "open 50%"]  # a share is of a peak
    whole = plan.levels(catalogue.scenario("idle"), options)
    assert levels(of("idle")) == [level.label for level in whole]  # these need one another


@pytest.mark.parametrize("name", [entry.name for entry in catalogue.scenarios()])
def test_every_scenario_can_be_gated_by_its_first_measure(name):
    asked = of(name)
    labels = {level.label for level in plan.levels(asked.scenario, factories.options())}
    assert all(label in labels for label in gating.levels_of(asked.bounds[0][1].metric, next(iter(labels))))


def test_a_bound_on_what_a_scenario_does_not_tell_is_refused():
    with pytest.raises(gating.Unasked, match="memory has no level that tells p99"):
        of("memory", None, "p99>+5%")


def test_levels_are_shortened_to_fit_the_budget_and_no_further():
    options = arms.options("x", dict.fromkeys(["a~base", "a~head"]), ("hello",), ((0,), (1,)), 4, 1.5, 1)
    asked = {"hello": of("hello").scenario}
    assert gating.fitted(options, asked, 90.0, 0.4).level_s == 1.5
    many = replace(options, models=tuple(f"m{number}" for number in range(12)))
    short = gating.fitted(many, asked, 90.0, 0.4)
    assert 0.4 < short.level_s < 1.5
    assert 4 * plan.replicate_s(short, asked) <= 90
    assert gating.fitted(many, asked, 1.0, 0.4).level_s == 0.4


def judged(ratio: float, error: float | None, bound: str = "rate<-3%") -> Judged:
    difference = Difference(math.log(ratio), error, 12)
    row = Row("hello", "closed 16", "m", "rate", True, 1.0, ratio, difference.estimate(), difference)
    return Judged(parse(bound), row, "kept")


def test_replicates_are_added_by_width_alone():
    """An interval of ±1% suffices for a bound of 3% on whatever side of it it lies; one of ±2% does not, however clear."""
    for ratio in (0.8, 0.97, 1.0, 1.2):
        assert not gating.too_wide([judged(ratio, 0.0045)])
        assert gating.too_wide([judged(ratio, 0.01)])
    assert gating.too_wide([judged(1.0, None)])
    assert not gating.too_wide([judged(1.0, 0.01, "rate<-10%")])
    missing = Row("hello", "closed 16", "m", "rate", True, None, None, None, None, why="head: failed")
    assert not gating.too_wide([Judged(parse("rate<-3%"), missing, "undecided")])  # more replicates would not help


# ---------------------------------------------------------------- a gate without servers


class Imagined:
    """Replicates of an imagined machine in the place of measured ones; `paces` slow what is called so."""

    def __init__(self) -> None:
        self.paces: dict[str, float] = {}
        self.failing: tuple[str, ...] = ()
        self.digests: dict[str, str] = {}
        self.made = 0

    @contextmanager
    def engine(self, *_: object):
        yield None

    def replicate(self, run: RunFacts, number: int, *_: object) -> list[ReplicateRecord]:
        self.made += 1
        found = []
        for scenario, asked in run.scenarios.items():
            labels = {level.label for level in plan.levels(asked, run.options)}
            trials = []
            for name in run.options.models:
                if name in self.failing:
                    trials.append(factories.failed_trial(name))
                    continue
                levels = [level for level in factories.levels(scenario) if level.label in labels]
                measured = [factories.measurement(name, scenario, one, number, self.paces.get(name, 1.0)) for one in levels]
                made = factories.trial(name, scenario, number, measured, digest=self.digests.get(name, "cafe"))
                trials.append(made)
            found.append(factories.record(scenario, number, trials))
        return found


@pytest.fixture
def imagined(monkeypatch) -> Imagined:
    made = Imagined()
    monkeypatch.setattr(arms, "engine", made.engine)
    monkeypatch.setattr(arms, "replicate", made.replicate)
    monkeypatch.setattr("benchmarks.environment.environment", lambda *_: {"machine": "imagined"})
    return made


@pytest.fixture
def gate(tmp_path, capsys, monkeypatch, imagined):
    """Run `servebench gate` on this checkout twice; its status, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: str, sides: tuple[str, str] = (str(ROOT), str(ROOT))) -> tuple[int, str, str]:
        status = main(["gate", *sides, "--results", str(tmp_path), "--name", f"gate-{imagined.made}", *arguments])
        return status, *capsys.readouterr()

    return run


HEAD, BASE = "epoll_loop~head", "epoll_loop~base"
ONE = ("--models", "epoll_loop")


def test_equals_are_kept(gate, imagined):
    status, out, err = gate(*ONE, "--threshold", "-5%")
    assert status == 0
    assert "epoll_loop  hello  rate at closed 16" in out
    assert "\nKept: rate<-5% in the cell (" in out
    assert "measured in" in err
    assert 4 <= imagined.made < 40


@pytest.mark.parametrize("threshold", [("--threshold", "-3%"), ("--threshold=-3%",), ("--threshold", "3%"), ()])
def test_a_slower_head_breaks_it(gate, imagined, threshold):
    imagined.paces[HEAD] = 0.9
    status, out, _ = gate(*ONE, *threshold)
    assert status == 1
    assert "\nBroken: rate<-3% by epoll_loop hello rate at closed 16: 0.9" in out


def test_a_faster_head_is_kept(gate, imagined):
    imagined.paces[BASE] = 0.9
    assert gate(*ONE)[0] == 0


def test_what_lies_at_the_bound_is_undecided_when_the_time_is_spent(gate, imagined, monkeypatch):
    monkeypatch.setattr(command, "MOST_REPLICATES", 4)
    imagined.paces[HEAD] = 0.97
    status, out, _ = gate(*ONE)
    assert (status, imagined.made) == (3, 4)
    assert "undecided" in out
    assert "A longer --budget tells more" in out


def test_no_replicate_is_added_once_the_budget_is_spent(gate, imagined):
    status, _, _ = gate(*ONE, "--budget", "0.001s", "--replicates", "2", "--threshold", "-0.01%")
    assert (status, imagined.made) == (3, 2)


def test_a_head_that_does_not_start_breaks_it(gate, imagined):
    imagined.failing = (HEAD,)
    status, out, _ = gate(*ONE)
    assert status == 1
    assert "head: failed (launch: no ready line within 10 s)" in out


def test_a_base_that_does_not_start_leaves_it_undecided(gate, imagined):
    imagined.failing = (BASE,)
    assert gate(*ONE)[0] == 3


def test_other_answers_are_remarked(gate, imagined):
    imagined.digests[HEAD] = "beef"
    status, out, _ = gate(*ONE, "--threshold", "-5%")
    assert status == 0
    assert "epoll_loop answers other bytes in hello" in out


def test_it_says_the_same_for_machines(gate, imagined, tmp_path):
    imagined.paces["thread_pool~head"] = 0.8
    where = tmp_path / "reports" / "gate.xml"
    status, out, _ = gate(
        "--models", "epoll_loop,thread_pool", "--threshold", "-5%", "--fail-if", "cpu>+50%", "--json", "--junit", str(where)
    )  # fmt: skip
    told = json.loads(out)
    assert (status, told["status"], told["verdict"]) == (1, 1, "broken")
    assert [(one["model"], one["metric"], one["outcome"]) for one in told["cells"]] == [
        ("epoll_loop", "rate", "kept"),
        ("epoll_loop", "cpu", "undecided"),  # the imagined machine has no level at 5,000/s
        ("thread_pool", "rate", "broken"),
        ("thread_pool", "cpu", "undecided"),
    ]
    broken = told["cells"][2]
    assert broken["ratio"]["low"] < broken["ratio"]["value"] < broken["ratio"]["high"] < 0.95
    suite = ElementTree.parse(where).getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "1", "2")
    cases = {str(case.get("name")): [child.tag for child in case] for case in suite.iter("testcase")}
    assert cases["epoll_loop hello rate at closed 16 rate<-5%"] == ["system-out"]
    assert cases["thread_pool hello rate at closed 16 rate<-5%"] == ["failure", "system-out"]
    assert cases["thread_pool hello cpu at open 5000/s cpu>+50%"] == ["skipped", "system-out"]


def test_two_models_are_compared_as_they_are(gate):
    assert gate(sides=("epoll_loop", "thread_pool"))[0] == 1
    status, out, _ = gate(sides=("thread_pool", "epoll_loop"))
    assert status == 0
    assert "ratios are epoll_loop by thread_pool" in out


def test_a_run_of_it_is_a_run_that_can_be_reported(gate, tmp_path, capsys):
    gate(*ONE, "--threshold", "-5%", "--name", "kept")
    capsys.readouterr()
    assert main(["report", "kept", "--results", str(tmp_path)]) == 0
    assert "epoll_loop~head" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("sides", "arguments", "told"),
    [
        (("nowhere", "."), (), "'nowhere' is no folder of a checkout"),
        ((".", "epoll_loop"), (), "name two versions, or two models"),
        ((".", "."), ("--models", "nobody"), "--models nobody: both have asyncio_protocol"),
        ((".", "."), ("--scenarios", "nothing"), "there is no scenario 'nothing'"),
        ((".", "."), ("--threshold", "3"), "--threshold '3' is no change such as -3%"),
        ((".", "."), ("--threshold", "-100%"), "is no change such as"),
        ((".", "."), ("--fail-if", "p95>+5%"), "--fail-if 'p95>+5%' is about 'p95'"),
        ((".", "."), ("--replicates", "1"), "--replicates takes 2 to 1,000"),
        (("epoll_loop", "thread_pool"), ("--models", "epoll_loop"), "--models goes with two versions"),
        ((".", "."), ("--scenarios", "memory", "--fail-if", "p99>+5%"), "no level that tells p99"),
    ],
)
def test_bad_use_is_told_in_a_line(gate, monkeypatch, sides, arguments, told):
    monkeypatch.chdir(ROOT)
    status, out, err = gate(*arguments, sides=sides)
    assert (status, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1


def test_gates_of_one_text_are_one_bound():
    assert Gate("rate<-3%", "rate", True, 0.97) == parse("rate<-3%")


# ---------------------------------------------------------------- with servers


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two cores are wanted, one for the server and one for the load")
@pytest.mark.usefixtures("repository")
def test_a_revision_and_a_folder_are_measured_for_real(tmp_path, capsys):
    """What is measured in a second or two decides nothing; it is told, and nothing is left behind."""
    status = main(
        ["gate", "first", ".", *ONE, "--replicates", "2", "--seconds", "0.2", "--budget", "1s", "--threshold", "-90%", "--json",
         "--results", str(tmp_path / "results"), "--name", "real"]
    )  # fmt: skip
    told = json.loads(capsys.readouterr().out)
    assert status == told["status"] != 2
    assert told["replicates"] == 2
    (cell,) = told["cells"]
    assert cell["base"] > 0
    assert cell["head"] > 0
    assert told["base"].startswith("first (")
    assert told["head"] == "."
    assert len(list((tmp_path / "results" / "real" / "records").iterdir())) == 2
