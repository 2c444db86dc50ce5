"""Passwords in URLs: in no file, on no command line and on no screen. Servers are told of them by the environment."""

import os
import re

VARIABLE = "SERVEBENCH_DATABASE"  # of the environment: the URL as it is
MASK = "***"

_PASSWORDS = re.compile(r"(\w://[^/?#\s:@]*:)[^/?#\s@]+(?=@)|([?&]password=)[^&#\s]+")


def masked(text: str) -> str:
    """A URL, or a text with URLs in it, as it may be shown."""
    return _PASSWORDS.sub(lambda found: (found[1] or found[2]) + MASK, text)


def kept(url: str) -> str:
    """Keep a URL for the servers to come; returns what may be written down of it."""
    if url:
        os.environ[VARIABLE] = url
    return masked(url)


def is_known(recorded: str) -> bool:
    """Whether servers can be told the URL of which a run wrote this down; one without a password is told anew."""
    if MASK not in recorded:
        kept(recorded)
    return masked(os.environ.get(VARIABLE, "")) == recorded
