"""What README promises: its model is whole, short, and works; its tables and links are true."""

import json
import re
import shutil
import subprocess
import sys
import urllib.request

from benchmarks import catalogue

README = (catalogue.ROOT / "README.md").read_text()


def test_the_model_it_shows_is_one_file_that_runs(tmp_path):
    source = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    assert len(source.splitlines()) < 40
    shutil.copytree(catalogue.ROOT / "servers", tmp_path / "servers", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "servers" / "one_at_a_time.py").write_text(source)
    assert "one_at_a_time" in {entry.name for entry in catalogue.models(tmp_path / "servers")}
    with subprocess.Popen(
        [sys.executable, "-m", "servers", "one_at_a_time", "--port", "0"], stdout=subprocess.PIPE, cwd=tmp_path
    ) as server:
        ready = json.loads(server.stdout.readline())
        for _ in range(3):
            with urllib.request.urlopen(f"http://127.0.0.1:{ready['port']}/hello", timeout=10) as answer:
                assert answer.read() == b"Hello, World!"
        server.terminate()
        assert server.wait(20) == 0
    assert ready["max_connections"] == 1


def test_every_model_is_in_its_table_with_its_caption():
    for entry in catalogue.models():
        assert f"| `{entry.name}` | {entry.caption} |" in README


def test_every_link_to_a_file_leads_to_one():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (catalogue.ROOT / target).exists(), target


def test_every_make_target_it_names_exists():
    makefile = (catalogue.ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?:`|^    )make ([a-z]+)", README, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_its_table_of_rules_is_that_of_the_committed_results():
    made = (catalogue.ROOT / "results" / "rules" / "README.md").read_text()
    table = [line for line in made.partition("## ")[0].splitlines() if line.startswith("|")]
    assert len(table) > len(catalogue.models())
    assert "\n".join(table) in README


def test_its_defaults_of_limits_are_those_of_the_servers():
    said = subprocess.run(
        [sys.executable, "-m", "servers", "--help"], capture_output=True, text=True, cwd=catalogue.ROOT, check=True
    ).stdout
    options = " ".join(said.split())
    for option, default in (
        ("--line-bytes", "8192"), ("--header-bytes", "16384"), ("--fields", "100"), ("--body-bytes", "16777216"),
        ("--head-timeout", "10.0"), ("--body-timeout", "15.0"), ("--keepalive-idle", "15.0"), ("--send-timeout", "15.0"),
        ("--linger", "1.0"), ("--drain", "10.0"),
    ):  # fmt: skip
        assert f"`{option}`" in README
        assert re.search(rf"{option} [A-Z] [^()]*\({default}\)", options), option
