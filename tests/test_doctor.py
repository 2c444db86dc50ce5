"""The doctor: what it reads of a machine, how it grades what it read, what it says; on imagined machines and on this one."""

import gzip
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from called import refusal
from rich.console import Console

from benchmarks import catalogue, doctor
from benchmarks.commands.doctor import sheet
from benchmarks.machine import Machine, Python, Usage, cpu_list, look
from benchmarks.nouns import MachineState
from benchmarks.summaries import Symptom

HEALTHY = Machine(
    cpus=(0, 1, 2, 3),
    server_cpus=(0,),
    driver_cpus=(3,),
    python=Python("3.12.3", True, False, True, []),
    open_files=1_048_576,
    online=4,
    siblings={0: (0, 4), 3: (3, 7)},
    nodes={0: 0, 3: 0},
    governors={0: "performance", 3: "performance"},
    turbo=False,
    usage=Usage(1.0, 0.01, 0.0, [("sshd", 0.01)]),
    steal_since_boot=0.0,
    pressure={"cpu": (0.5, 1.0), "io": (0.0, 0.0), "memory": (0.0, 0.0)},
    preemption="full",
    tick_hz=250,
    somaxconn=4096,
    syn_backlog=4096,
    ports=(32768, 60999),
    tw_reuse=2,
    cpu_quota=4.0,
    memory_limit_bytes=None,
    memory_available_bytes=8 << 30,
    swap_used_bytes=0,
    clocksource="tsc",
)


def graded(machine: Machine) -> dict[str, str]:
    return {symptom.name: symptom.grade for symptom in doctor.diagnose(machine)}


def test_a_healthy_machine_has_nothing_but_good_grades():
    grades = graded(HEALTHY)
    assert set(grades.values()) == {"good"}
    assert len(grades) == 19
    assert doctor.worst(doctor.diagnose(HEALTHY)) == []


@pytest.mark.parametrize(
    ("name", "grade", "changes"),
    [
        ("cores", "fair", {"cpus": (0, 3)}),
        ("cores", "poor", {"cpus": (0,), "driver_cpus": (0,)}),
        ("core siblings", "poor", {"driver_cpus": (4,), "siblings": {0: (0, 4), 4: (0, 4)}}),
        ("frequency", "fair", {"governors": {0: "performance", 3: "powersave"}}),
        ("frequency", "fair", {"governors": {}}),
        ("turbo", "fair", {"turbo": True}),
        ("memory nodes", "fair", {"nodes": {0: 0, 3: 1}}),
        ("other load", "fair", {"usage": Usage(1.0, 0.1, 0.0, [("cron", 0.1)])}),
        ("other load", "poor", {"usage": Usage(1.0, 0.8, 0.0, [("make", 0.8)])}),
        ("steal", "fair", {"usage": Usage(1.0, 0.0, 0.01, [])}),
        ("steal", "poor", {"steal_since_boot": 0.05}),
        ("pressure", "fair", {"pressure": {"cpu": (20.0, 3.0)}}),
        ("pressure", "poor", {"pressure": {"cpu": (0.0, 0.0), "memory": (0.0, 6.0)}}),
        ("virtual machine", "fair", {"virtual": "yes"}),
        ("preemption", "fair", {"preemption": "none"}),
        ("preemption", "fair", {"preemption": "lazy"}),
        ("timer tick", "fair", {"tick_hz": 100}),
        ("clock", "poor", {"clocksource": "hpet"}),
        ("open files", "fair", {"open_files": 8192}),
        ("open files", "poor", {"open_files": 1024}),
        ("listen queue", "poor", {"somaxconn": 128}),
        ("listen queue", "fair", {"syn_backlog": 512}),
        ("ports", "fair", {"ports": (50000, 60000)}),
        ("ports", "poor", {"ports": (60000, 61000)}),
        ("ports", "fair", {"tw_reuse": 0}),
        ("CPU quota", "poor", {"cpu_quota": 1.5}),
        ("CPU quota", "fair", {"cpu_quota": 2.0}),
        ("memory", "fair", {"memory_available_bytes": 1 << 30}),
        ("memory", "poor", {"memory_limit_bytes": 256 << 20}),
        ("swap", "fair", {"swap_used_bytes": 1 << 30}),
        ("Python", "fair", {"python": Python("3.12.3", False, False, True, [])}),
        ("Python", "poor", {"python": Python("3.12.3", True, True, True, [])}),
        ("Python", "poor", {"python": Python("3.12.3", True, False, True, ["PYTHONDEVMODE"])}),
    ],
)
def test_one_change_hurts_one_matter_only(name, grade, changes):
    found = graded(replace(HEALTHY, **changes))
    assert {matter: own for matter, own in found.items() if own != "good"} == {name: grade}


def test_what_a_machine_does_not_tell_is_left_out():
    silent = Machine((0, 1), (0,), (1,), HEALTHY.python, 65536)
    assert set(graded(silent)) == {"cores", "frequency", "open files", "Python", "virtual machine"}
    assert graded(replace(silent, virtual="KVM")).keys() == {"cores", "open files", "Python", "virtual machine"}


def test_cores_that_a_container_withholds_are_told():
    (found,) = (s for s in doctor.diagnose(replace(HEALTHY, cpus=(0, 3), online=8)) if s.name == "cores")
    assert found.seen.startswith("2 of 8 usable")
    assert "cpuset" in found.remedy


@pytest.mark.parametrize(
    ("cpus", "online", "remedy"),
    [((1,), 2, "allow more of them"), ((1,), 1, "a machine with two cores"), ((1, 3), 4, "--server-cpus 1 --driver-cpus 3")],
)
def test_where_server_and_load_share_a_core_the_remedy_names_cpus_that_may_be_used(cpus, online, remedy):
    machine = replace(HEALTHY, cpus=cpus, online=online, server_cpus=(1,), driver_cpus=(1,))
    (found,) = (symptom for symptom in doctor.diagnose(machine) if symptom.name == "cores")
    assert (found.grade, remedy in found.remedy) == ("poor", True), found.remedy


@pytest.mark.parametrize(
    ("pingpong_ns", "python_ns", "grade"),
    [
        ([60.0] * 40, [40.0] * 40, "good"),
        ([60.0] * 39 + [600.0], [40.0] * 40, "good"),  # one stall says nothing of the machine
        ([60.0] * 30 + [69.0] * 10, [40.0] * 40, "fair"),
        ([60.0] * 40, [40.0] * 20 + [46.0] * 20, "fair"),
        ([60.0] * 20 + [345.0] * 20, [40.0] * 40, "poor"),
        ([None] * 5, [40.0] * 5, "good"),  # a single core has no ping-pong
    ],
)
def test_the_machine_state_is_graded_by_how_far_the_probes_wander(pingpong_ns, python_ns, grade):
    found = doctor.machine_state([MachineState(*pair) for pair in zip(pingpong_ns, python_ns, strict=True)])
    assert found is not None
    assert found.grade == grade
    assert doctor.machine_state([]) is None


def test_the_worst_come_first_in_a_line_each():
    symptoms = doctor.diagnose(replace(HEALTHY, turbo=True, clocksource="hpet", virtual="KVM", tick_hz=100))
    assert [symptom.grade for symptom in symptoms[:4]] == ["poor", "fair", "fair", "fair"]
    lines = doctor.worst(symptoms, 2)
    assert len(lines) == 2
    assert lines[0].startswith("poor: clock: hpet. To do: ")
    assert "\n" not in "".join(lines)
    assert doctor.count(symptoms) == "1 poor, 3 fair, 15 good"


@pytest.mark.parametrize("width", [80, 120])
def test_the_sheet_fits_the_terminal_and_gives_a_remedy_for_what_hurts_only(width):
    console = Console(width=width, no_color=True)
    with console.capture() as captured:
        console.print(sheet(doctor.diagnose(replace(HEALTHY, virtual="KVM", clocksource="hpet"))))
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("poor  clock")
    assert sum("→" in line for line in lines) == 2


# ---------------------------------------------------------------- reading


def told(root, files: dict[str, str]):
    for path, words in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(words)
    return look((0,), (1,), 0.0, root)


def test_a_machine_without_a_single_file_still_gives_facts(tmp_path):
    machine = look((0,), (1,), 0.0, tmp_path)
    assert machine == Machine(machine.cpus, (0,), (1,), machine.python, machine.open_files)
    assert doctor.diagnose(machine)


def test_files_that_make_no_sense_are_not_told(tmp_path):
    machine = told(
        tmp_path,
        {
            "proc/stat": "cpu x\n",
            "proc/meminfo": "MemAvailable: many kB\n",
            "proc/pressure/cpu": "some avg10=?\n",
            "proc/sys/net/ipv4/ip_local_port_range": "1\n",
            "proc/config.gz": "not gzip",
            "proc/42/stat": "42 (half",
            "sys/devices/system/cpu/cpu0/topology/thread_siblings_list": "zero\n",
        },
    )
    assert machine == Machine(machine.cpus, (0,), (1,), machine.python, machine.open_files)


def test_what_the_files_say_is_read(tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/config.gz").write_bytes(gzip.compress(b"CONFIG_PREEMPT_VOLUNTARY=y\nCONFIG_HZ_1000=y\nCONFIG_HZ=1000\n"))
    machine = told(
        tmp_path,
        {
            "proc/stat": "cpu  90 0 0 0 0 0 0 10 0 0\ncpu0 1 2 3\n",
            "proc/meminfo": "MemTotal: 8 kB\nMemAvailable:    4 kB\nSwapTotal: 10 kB\nSwapFree: 7 kB\n",
            "proc/pressure/io": "some avg10=1.50 avg60=2.50 avg300=0.00 total=1\nfull avg10=0.00 avg60=0.00\n",
            "proc/sys/net/ipv4/ip_local_port_range": "32768\t60999\n",
            "proc/self/cgroup": "3:cpu,cpuacct:/a/b\n2:memory:/a\n0::/\n",
            "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "150000\n",
            "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "9223372036854771712\n",
            "proc/cpuinfo": "flags : fpu tsc hypervisor\n",
            "sys/class/dmi/id/sys_vendor": "QEMU\n",
            "run/.containerenv": "",
            "sys/devices/system/cpu/intel_pstate/no_turbo": "0\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n",
            "sys/devices/system/cpu/cpu0/topology/thread_siblings_list": "0,4\n",
            "sys/devices/system/node/node1/cpulist": "0-3\n",
            "sys/devices/system/cpu/online": "0-7\n",
        },
    )
    assert machine.usage is None or machine.usage.cores == 0.0
    assert machine.steal_since_boot == 0.1
    assert (machine.memory_available_bytes, machine.swap_used_bytes) == (4096, 3072)
    assert machine.pressure == {"io": (1.5, 2.5)}
    assert machine.ports == (32768, 60999)
    assert (machine.cpu_quota, machine.memory_limit_bytes) == (1.5, None)
    assert (machine.preemption, machine.tick_hz) == ("voluntary", 1000)
    assert machine.online == 8
    assert (machine.virtual, machine.container, machine.turbo) == ("QEMU", "podman", True)
    assert (machine.governors, machine.siblings, machine.nodes) == ({0: "powersave"}, {0: (0, 4)}, {0: 1, 1: 1})


def test_limits_of_control_groups_of_the_second_version_are_read_on_the_way_up(tmp_path):
    machine = told(
        tmp_path,
        {
            "proc/self/cgroup": "0::/outer/inner\n",
            "sys/fs/cgroup/outer/cpu.max": "200000 100000\n",
            "sys/fs/cgroup/outer/inner/cpu.max": "max 100000\n",
            "sys/fs/cgroup/outer/memory.max": "max\n",
            "sys/fs/cgroup/outer/inner/memory.max": "1073741824\n",
        },
    )
    assert (machine.cpu_quota, machine.memory_limit_bytes) == (2.0, 1 << 30)


@pytest.mark.parametrize(
    ("files", "preemption"),
    [
        ({"sys/kernel/realtime": "1\n", "proc/cmdline": "preempt=none\n"}, "rt"),
        ({"sys/kernel/debug/sched/preempt": "none voluntary (lazy) full\n", "proc/cmdline": "preempt=none\n"}, "lazy"),
        ({"proc/cmdline": "quiet preempt=none\n"}, "none"),
        ({"proc/version": "Linux version 6.1 #1 SMP PREEMPT_RT Debian\n"}, "rt"),
        ({"proc/sys/kernel/osrelease": "6.1\n", "boot/config-6.1": "CONFIG_PREEMPT_NONE=y\n"}, "none"),
        ({"proc/sys/kernel/osrelease": "6.1\n", "boot/config-6.1": "CONFIG_PREEMPT=y\n"}, "full"),
        ({"proc/version": "Linux version 6.1 #1 SMP PREEMPT_DYNAMIC Debian\n"}, ""),  # any of them: it does not say
    ],
)
def test_the_preemption_model_is_told_by_whoever_knows_it(tmp_path, files, preemption):
    assert told(tmp_path, files).preemption == preemption


@pytest.mark.parametrize(("words", "cpus"), [("0-2,8", (0, 1, 2, 8)), ("5", (5,)), ("", ()), ("a-b", ())])
def test_cpu_lists_are_read_as_the_kernel_writes_them(words, cpus):
    assert cpu_list(words) == cpus


def test_whoever_uses_the_cpus_meanwhile_is_seen_by_name():
    busy = subprocess.Popen([sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE)
    try:
        busy.stdout.readline()
        usage = look(watch_s=0.5).usage
        assert usage.cores > 0.1
        assert any(name.startswith("python") for name, _ in usage.processes)
    finally:
        busy.kill()
        busy.wait()
        busy.stdout.close()


# ---------------------------------------------------------------- the command


def run(*arguments, status=0, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "doctor", *arguments],
        capture_output=True, text=True, cwd=catalogue.ROOT, timeout=300, env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def test_the_command_speaks_to_people_and_to_machines():
    out, _ = run("--seconds", "0", COLUMNS="80")
    assert "cores" in out
    assert "Python" in out
    assert max(map(len, out.splitlines())) <= 80
    told = json.loads(run("--seconds", "0.2", "--json")[0])
    assert told["machine"]["cpus"] == sorted(os.sched_getaffinity(0))
    assert {"name", "grade", "seen", "why", "remedy"} == set(told["symptoms"][0])
    assert told["machine_states"][0]["python_ns"] > 0
    assert "machine state" in {symptom["name"] for symptom in told["symptoms"]}


def test_an_engine_that_ends_leaves_the_rest_of_the_advice(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nif 'benchmarks.load.process' in sys.orig_argv:\n    os._exit(3)\n"
    )
    out, err = run("--quick", PYTHONPATH=str(tmp_path))
    assert "the load engine ended with status 3" in err
    assert "cores" in out
    assert "machine state " not in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--server-cpus", "4096"), "CPU 4096 is not one that this process may use"),
        (("--driver-cpus", "x"), "not a list of whole numbers"),
        (("--seconds", "-1"), "--seconds -1 is not from 0"),
        (("--seconds", "nan"), "--seconds nan is not from 0"),
    ],
)
def test_bad_use_is_told_in_a_line(capsys, arguments, words):
    assert words in refusal(capsys, "doctor", *arguments)


def test_every_symptom_has_words_for_all_its_parts():
    hurt = replace(HEALTHY, virtual="KVM", turbo=True, cpus=(0, 3), tw_reuse=0, cpu_quota=1.0, clocksource="hpet", tick_hz=100)
    for symptom in doctor.diagnose(hurt):
        assert isinstance(symptom, Symptom)
        assert all((symptom.name, symptom.seen, symptom.why, symptom.remedy))
        assert not symptom.remedy.endswith(".")  # a full stop is added where it is printed
