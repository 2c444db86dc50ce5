"""What environment.json holds, and what differs between two runs that matters."""

from dataclasses import replace

import factories
import msgspec
import pytest

from benchmarks import interpreters
from benchmarks.environment import differences, environment, versions
from benchmarks.interpreters import Interpreter
from benchmarks.nouns import Variant
from benchmarks.questions import Request

HERE = {
    "schema": 4,
    "machine": "x86_64",
    "cpu_model": "An old processor",
    "system": "Linux 6.1",
    "cpu_count": 4,
    "usable_cpus": [0, 1, 2, 3],
    "load_average": [0.1, 0.2, 0.3],
    "facts": {
        "governors": {"0": "performance", "3": "performance"},
        "turbo": False,
        "siblings": {"0": [0], "3": [3]},
        "preemption": "none",
        "python": {"version": "3.12.3", "optimised": True, "gil": True, "debug": False, "slowing": []},
        "usage": {"seconds": 0.5, "cores": 0.0, "steal": 0.0, "processes": []},
    },
}
RUN = factories.run()


def test_what_does_not_matter_is_no_difference():
    later = {**HERE, "load_average": [9.0, 9.0, 9.0], "facts": {**HERE["facts"], "swap_used_bytes": 4096}}
    again = factories.run(name="again", seed=2, replicates=50, models=("prefork",), aa="prefork")
    again = replace(again, started_at="2027-01-01T00:00:00+00:00", command="servebench run --name again")
    again = replace(again, versions={**again.versions, "matplotlib": "4.0"})
    assert differences(HERE, later, RUN, again) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cpu_model": "A new one"}, "An old processor and A new one"),
        ({"system": "Linux 6.2"}, "Linux 6.1 and Linux 6.2"),
        ({"cpu_count": 8}, "4 and 8 cores"),
        ({"usable_cpus": [0, 1]}, "4 and 2 usable CPUs"),
        ({"governors": {"0": "powersave"}}, "governor performance and powersave"),
        ({"turbo": True}, "turbo off and on"),
        ({"siblings": {"0": [0, 3], "3": [0, 3]}}, "CPUs that share cores: none and 0+3"),
        ({"preemption": "full"}, "preemption none and full"),
        ({"cpu_quota": 1.5}, "CPU quota none and 1.5 cores"),
        ({"virtual": "KVM"}, "hypervisor none and KVM"),
        ({"container": "docker"}, "container none and docker"),
        ({"python": {"optimised": False, "gil": True}}, "Python with and without PGO"),
        ({"python": {"optimised": True, "gil": False}}, "Python with and without the GIL"),
    ],
)
def test_another_machine_is_told_in_words(changes, words):
    there = {**HERE, **{name: value for name, value in changes.items() if name in HERE}}
    there["facts"] = {**HERE["facts"], **{name: value for name, value in changes.items() if name not in HERE}}
    assert differences(HERE, there, RUN, RUN) == [words]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"level_s": 2.0}, ["levels of 1 and 2 s"]),
        ({"server_cpus": (0, 2)}, ["server on CPU 0 and 0, 2"]),
        ({"driver_cpus": (3,)}, ["load from CPU 1 and 3"]),
        ({"poll": "sleep"}, ["polling: busy and sleep"]),
        ({"objective": "p99<=20ms"}, ["objective none and p99<=20ms"]),
    ],
)
def test_other_options_are_told_in_words(changes, words):
    assert differences(HERE, HERE, RUN, factories.run(**changes)) == words


def test_software_and_questions_that_differ_are_told():
    other = replace(RUN, versions={**RUN.versions, "python": "3.12.1", "gevent": "25.1"})
    assert differences(HERE, HERE, replace(RUN, versions={"python": "3.11.7", "gevent": "26.9"}), other) == [
        "Python 3.11.7 and 3.12.1",
        "gevent 26.9 and 25.1",
    ]
    asked = {**RUN.scenarios, "hello": replace(RUN.scenarios["hello"], request=Request("/goodbye"))}
    assert differences(HERE, HERE, RUN, replace(RUN, scenarios=asked)) == ["hello asks GET /hello and GET /goodbye"]


def test_another_build_of_an_interpreter_beside_the_harness_is_told():
    one = replace(RUN, versions={**RUN.versions, "python 3.13": "3.13.0 (b), GIL on", "python 3.12": "3.12.1 (b), GIL on"})
    other = replace(RUN, versions={**RUN.versions, "python 3.13": "3.13.1 (b), GIL on"})
    assert differences(HERE, HERE, one, other) == ["python 3.13: 3.13.0 (b), GIL on and 3.13.1 (b), GIL on"]


def test_versions_are_those_of_other_interpreters_too_and_one_that_is_gone_is_told(monkeypatch):
    made = Interpreter("x/bin/python", "3.13.0", "main", True, False, ("gevent",))
    monkeypatch.setattr(interpreters, "read", lambda _: made)
    options = factories.options(variants={name: Variant(python="x/bin/python") for name in ("a~python3.13t", "b~python3.13t")})
    told = versions(options)
    assert told["python 3.13t"] == "3.13.0 (main), GIL off, without gevent"
    assert versions(factories.options()) == {name: word for name, word in told.items() if name != "python 3.13t"}
    monkeypatch.undo()
    with pytest.raises(interpreters.Unusable, match="x/bin/python, an environment for servers, is not there any more"):
        versions(options)


def test_what_is_absent_on_one_side_is_a_difference_where_absence_means_none():
    limited = {**HERE, "facts": {**HERE["facts"], "cpu_quota": 2.0, "container": "podman"}}
    assert differences(limited, HERE, RUN, RUN) == ["CPU quota 2 cores and none", "container podman and none"]
    assert differences(limited, limited, RUN, RUN) == []
    silent = {**HERE, "facts": {name: told for name, told in HERE["facts"].items() if name not in ("governors", "turbo")}}
    assert differences(HERE, silent, RUN, RUN) == []
    untold = {name: told for name, told in HERE.items() if name != "facts"}
    assert differences(untold, limited, RUN, RUN) == []
    assert differences({}, HERE, RUN, RUN) == []


def test_this_machine_does_not_differ_from_itself_and_names_nobody():
    first, second = environment(), environment()
    assert differences(first, second, RUN, RUN) == []
    assert differences(msgspec.json.decode(msgspec.json.encode(first)), second, RUN, RUN) == []
    assert first["symptoms"]
    assert {symptom["name"] for symptom in first["symptoms"]} >= {"cores", "Python", "open files"}
    assert first["facts"]["usage"]["processes"] == []
    assert versions()["python"] in first["facts"]["python"]["version"]
