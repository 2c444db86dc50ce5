"""Limits and deadlines as options of the command: each sets its field, and says its default."""

import contextlib
import io

import pytest

from servers.__main__ import SETTINGS, make_parser, number, pick, seconds
from servers._options import Options
from servers.conversations.http1 import Limits

DEFAULTS = {
    "--line-bytes": 8192,
    "--header-bytes": 16_384,
    "--fields": 100,
    "--body-bytes": 16_777_216,
    "--head-timeout": 10.0,
    "--body-timeout": 15.0,
    "--keepalive-idle": 15.0,
    "--keepalive-requests": 0,
    "--send-timeout": 15.0,
    "--linger": 1.0,
    "--drain": 10.0,
}


def test_every_limit_of_the_issue_is_an_option_with_its_default() -> None:
    found = {flag: getattr(record(), field) for flag, record, field, _, _ in SETTINGS}
    assert found | DEFAULTS == found


NUMBERS = [row for row in SETTINGS if row[0] not in ("--database", "--synchronous")]


@pytest.mark.parametrize(("flag", "record", "field", "kind"), [row[:4] for row in NUMBERS], ids=[row[0] for row in NUMBERS])
def test_an_option_sets_its_field(flag: str, record: type[Options] | type[Limits], field: str, kind: object) -> None:
    arguments = vars(make_parser("servers").parse_args(["epoll_loop", flag, "21.5" if kind is seconds else "21"]))
    chosen = {name: value for name, value in arguments.items() if value is not None}
    assert getattr(pick(record, chosen), field) == (21.5 if kind is seconds else 21)


@pytest.mark.parametrize("flag", [row[0] for row in SETTINGS if row[0] != "--database"])
@pytest.mark.parametrize("value", ["", "-1", "x", "1e400", "nan", "1_0", "१", "99999999999999"])
def test_nonsense_is_refused_in_a_line(flag: str, value: str) -> None:
    said = io.StringIO()
    with pytest.raises(SystemExit) as ended, contextlib.redirect_stderr(said):
        make_parser("servers").parse_args(["epoll_loop", f"{flag}={value}"])
    assert ended.value.code == 2
    assert said.getvalue().count("\n") == 1
    assert flag in said.getvalue()


def test_the_help_says_every_default() -> None:
    said = make_parser("servers").format_help()
    for flag, value in DEFAULTS.items():
        assert f"({value})" in said.partition(f"{flag} ")[2].replace("\n", " "), flag


def test_numbers_keep_their_bounds() -> None:
    assert [number(0, 5)(text) for text in ("0", "5", "05")] == [0, 5, 5]
