"""Who wears what: the colour of a family, the line and marker of a member, the paper of a page.

The colours are Okabe and Ito's, which stay apart for colour-blind eyes (jfly.uni-koeln.de/color), save asyncio's violet. A
model keeps its look in every chart of every run, so it depends on the model's name alone and never on who else is shown.
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal
from zlib import crc32

from benchmarks.nouns import served_by

Dash = Literal["-"] | tuple[float, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Theme:
    """The paper and what is written on it. `lift` is how far colours are mixed with white to stand out from dark paper."""

    name: str
    paper: str
    ink: str
    muted: str
    grid: str
    hatch: str
    lift: float


LIGHT = Theme("light", paper="#ffffff", ink="#1b1f24", muted="#59636e", grid="#e3e6ea", hatch="#b8bec6", lift=0.0)
DARK = Theme("dark", paper="#0d1117", ink="#e6edf3", muted="#9aa3ad", grid="#272d36", hatch="#4b535d", lift=0.28)


@dataclass(frozen=True, slots=True)
class Family:
    """Models that wait in the same way. A model belongs to the family whose prefix its name begins with."""

    name: str
    colour: str
    prefixes: tuple[str, ...]


FAMILIES = (
    Family("threads", "#0072B2", ("thread_",)),
    Family("processes", "#D55E00", ("prefork", "fork_")),
    Family("readiness loops", "#009E73", ("select_loop", "poll_loop", "epoll_loop")),
    Family("asyncio", "#7A4FA3", ("asyncio",)),
    Family("greenlets", "#CC79A7", ("gevent",)),
    Family("other runtimes", "#E69F00", ("trio", "curio", "twisted", "tornado")),
    Family("references", "#555555", ("nginx", "kernel", "gunicorn", "uvicorn", "waitress", "hypercorn")),
)
SPARE_COLOURS = ("#56B4E9", "#8C6D31", "#A8324A", "#6B7F00", "#3F4C9A")
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
VARIANT_MARKER = "*"
DASHES: tuple[Dash, ...] = ("-", (0.0, (5.0, 1.6)), (0.0, (1.6, 1.2)), (0.0, (7.0, 1.6, 1.6, 1.6)))

# Which member of its family a known model is; a model that is not here takes a place from its name.
PLACES = {
    "thread_per_connection": 0,
    "thread_pool": 1,
    "prefork": 0,
    "prefork_epoll": 1,
    "prefork_threads": 2,
    "fork_per_connection": 3,
    "epoll_loop": 0,
    "select_loop": 1,
    "poll_loop": 2,
    "asyncio_protocol": 0,
    "asyncio_streams": 1,
    "asyncio_uvloop": 2,
    "asyncio_threads": 3,
    "gevent_greenlets": 0,
    "gevent_prefork": 1,
    "trio_nursery": 0,
}


@dataclass(frozen=True, slots=True)
class Look:
    """How a model is drawn: `colour` for lines and bars, `text` for its name (nearer to the ink, so that it reads well)."""

    family: str
    colour: str
    text: str
    soft: str
    dash: Dash
    marker: str


@cache
def look(model: str, theme: Theme) -> Look:
    """The look of a model, known or not, on this paper. A variant's is its model's, with a marker of its own."""
    original = served_by(model)
    family = family_of(original)
    by_name = crc32(original.encode())
    colour = family.colour if family else SPARE_COLOURS[by_name % len(SPARE_COLOURS)]
    place = PLACES.get(original, by_name // len(SPARE_COLOURS))
    is_reference = family is not None and family.name == "references"
    colour = mix(colour, "#ffffff", theme.lift * (1.5 if is_reference else 1.0))
    return Look(
        family=family.name if family else "yours",
        colour=colour,
        text=mix(colour, theme.ink, 0.3),
        soft=mix(colour, theme.paper, 0.62),
        dash=DASHES[1] if is_reference else DASHES[place % len(DASHES)],
        marker=MARKERS[place % len(MARKERS)] if model == original else VARIANT_MARKER,
    )


def family_of(model: str) -> Family | None:
    """The family of a model by the beginning of its name; None for a stranger."""
    return next((family for family in FAMILIES if model.startswith(family.prefixes)), None)


def family_rank(model: str) -> tuple[int, int, str]:
    """A sort key: families in the order above, members in theirs, strangers last."""
    family = family_of(model)
    place = FAMILIES.index(family) if family else len(FAMILIES)
    return place, PLACES.get(served_by(model), len(PLACES)), model


def mix(colour: str, other: str, share: float) -> str:
    """`colour` with a `share` (0 … 1) of `other`, both "#rrggbb"."""
    pairs = zip(_channels(colour), _channels(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _channels(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))
