"""The charts of a report: static SVG by matplotlib, coloured by the page's style sheet.

matplotlib takes a second to import, so only what makes a page imports this module.
"""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter

from airflow_provider_engagement.reports.figures import shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

    from matplotlib.axes import Axes

__all__ = ["Chart", "Series", "columns", "curves", "day_marks", "intervals", "line", "ranking"]

# Placeholders, which the variables of the style sheet replace: they differ in dark and light.
_INK: Final = "#010101"
_QUIET: Final = "#020202"
_GRID: Final = "#030303"
_SERIES: Final = ("#040404", "#050505", "#060606", "#070707")
_VARIABLES: Final = {
    _INK: "var(--ink)",
    _QUIET: "var(--quiet)",
    _GRID: "var(--grid)",
    **{colour: f"var(--series-{number})" for number, colour in enumerate(_SERIES, 1)},
}

# Inches of 72 points. Narrow, so that the text is still large enough on a phone.
_WIDTH: Final = 6.4
_HEIGHT: Final = 3.0
_TEXT: Final = 11.5

_STYLE: Final[Any] = {
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # names hold dollar signs
    "font.size": _TEXT,
    "text.color": _QUIET,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _QUIET,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.8,
    "xtick.color": _GRID,
    "ytick.color": _GRID,
    "xtick.labelcolor": _QUIET,
    "ytick.labelcolor": _QUIET,
    "ytick.left": False,
    "lines.linewidth": 2.2,
    "legend.frameon": False,
}

# How many dates fit below a chart.
_MARKS: Final = 6

# The longest name beside a bar. The table below the chart has the whole name.
_MOST_LETTERS: Final = 22


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture and what it shows.

    :param name: a name without blanks, unique on the page.
    :param title: what it shows.
    :param summary: the text that a screen reader reads instead of the picture.
    """

    name: str
    title: str
    summary: str


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart.

    :param name: what the legend says.
    :param values: one for each age; None where it is not known.
    """

    name: str
    values: Sequence[float | None]


def columns(
    chart: Chart, marks: Sequence[str], values: Sequence[float | None], *, is_rate: bool = False
) -> str:
    """Draw a column for each of some days or hours.

    :param chart: what it shows.
    :param marks: what stands below each column; empty for nothing.
    :param values: one for each column; None leaves a gap.
    :param is_rate: whether the values are rates.
    :returns: an ``svg`` element.
    """

    def draw(axes: Axes) -> None:
        known = [(place, value) for place, value in enumerate(values) if value is not None]
        places, heights = zip(*known, strict=True) if known else ((), ())
        axes.bar(places, heights, 0.72, color=_SERIES[2 if is_rate else 0])
        _mark(axes, marks, is_rate=is_rate)

    return _drawn(chart, draw)


def line(chart: Chart, marks: Sequence[str], values: Sequence[float | None]) -> str:
    """Draw a line of rates. The parameters are those of :func:`columns`."""

    def draw(axes: Axes) -> None:
        drawn = [float("nan") if value is None else value for value in values]
        axes.plot(range(len(marks)), drawn, color=_SERIES[1], marker="o", markersize=4)
        axes.set_ylim(bottom=0)
        _mark(axes, marks, is_rate=True)

    return _drawn(chart, draw)


def day_marks(days: Sequence[date]) -> list[str]:
    """Return what stands below a column for each day: few enough dates to read, whole weeks apart.

    :param days: the days, without a gap.
    """
    weeks = -(-len(days) // (7 * _MARKS))
    step = 7 * weeks if len(days) > 3 * 7 else -(-len(days) // _MARKS)
    return [f"{day.day} {day:%b}" if place % step == 0 else "" for place, day in enumerate(days)]


def curves(chart: Chart, ages: Sequence[str], series: Sequence[Series]) -> str:
    """Draw curves over the age of Tweets.

    :param chart: what it shows.
    :param ages: the ages, from the youngest.
    :param series: at most four curves.
    """

    def draw(axes: Axes) -> None:
        for colour, each in zip(_SERIES, series, strict=False):
            known = [(place, value) for place, value in enumerate(each.values) if value is not None]
            axes.plot(
                *zip(*known, strict=True),
                color=colour,
                marker="o",
                label=shortened(each.name, _MOST_LETTERS),
            )
        axes.set_xticks(range(len(ages)), ages)
        axes.set_xlim(-0.3, len(ages) - 0.7)
        axes.yaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set_ylim(bottom=0)
        if len(series) > 1:
            axes.legend(loc="upper left")

    return _drawn(chart, draw)


def ranking(chart: Chart, names: Sequence[str], rates: Sequence[float]) -> str:
    """Draw a bar for each of some rates.

    :param chart: what it shows.
    :param names: what the bars are of, from the top.
    :param rates: one for each name.
    """

    def draw(axes: Axes) -> None:
        places = range(len(names))
        axes.barh(places, rates, 0.62, color=_SERIES[2])
        _name_rows(axes, names)
        for place, rate in zip(places, rates, strict=True):
            axes.annotate(
                f"{rate:.2%}",
                (rate, place),
                (4, 0),
                textcoords="offset points",
                va="center",
                color=_INK,
            )
        axes.set_xlim(0, max([*rates, 1e-9]) * 1.18)

    return _drawn(chart, draw, height=_row_height(names))


def intervals(
    chart: Chart,
    names: Sequence[str],
    rates: Sequence[tuple[float, float | None, float | None]],
) -> str:
    """Draw a point with its interval for each of some rates.

    :param chart: what it shows.
    :param names: what the points are of, from the top.
    :param rates: the rate and the ends of its interval, None without one.
    """

    def draw(axes: Axes) -> None:
        for place, (rate, low, high) in enumerate(rates):
            if low is not None and high is not None:
                axes.plot([low, high], [place, place], color=_SERIES[0], solid_capstyle="round")
            filled = _SERIES[0] if low is not None else "none"
            axes.plot([rate], [place], "o", color=_SERIES[0], markerfacecolor=filled, markersize=7)
        _name_rows(axes, names)

    return _drawn(chart, draw, height=_row_height(names))


def _row_height(names: Sequence[str]) -> float:
    return 0.7 + 0.34 * len(names)


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [shortened(name, _MOST_LETTERS) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", labelcolor=_INK)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.xaxis.set_major_locator(MaxNLocator(5))


def _mark(axes: Axes, marks: Sequence[str], *, is_rate: bool) -> None:
    marked = [(place, mark) for place, mark in enumerate(marks) if mark]
    axes.set_xticks([place for place, _ in marked], [mark for _, mark in marked])
    axes.set_xlim(-0.6, len(marks) - 0.4)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0) if is_rate else EngFormatter(sep=""))


def _drawn(chart: Chart, draw: Callable[[Axes], None], height: float = _HEIGHT) -> str:
    # The ids in the picture are hashes of its contents with this salt, and else random.
    with mpl.rc_context({**_STYLE, "svg.hashsalt": chart.name}), warnings.catch_warnings():
        # The browser's fonts are used, not those that matplotlib finds.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure((_WIDTH, height), layout="constrained")
        draw(figure.subplots())
        written = io.StringIO()
        figure.savefig(written, format="svg", transparent=True, metadata=_NO_METADATA)
    return _for_page(written.getvalue(), chart)


_NO_METADATA: Final[dict[str, Any]] = dict.fromkeys(("Creator", "Date", "Format", "Type"))

_REFERENCE: Final = re.compile(r'(?:xlink:href="#|url\(#)([^")]+)')
_FAMILY: Final = re.compile(r"font-family: [^;]*; ")
_COLOUR: Final = re.compile(r"(?<=: )#0[1-7]0[1-7]0[1-7]\b")
_GROUP_ID: Final = re.compile(r' id="([^"]+)"')


def _for_page(svg: str, chart: Chart) -> str:
    """Return the picture as part of a page: named, described, and coloured by its style sheet."""
    body = svg[svg.index("<svg") :]
    head, _, rest = body.partition(">")
    box = re.search(r'viewBox="([^"]+)"', head)
    for part in ("metadata", "style"):
        rest = re.sub(rf"<{part}.*?</{part}>", "", rest, count=1, flags=re.DOTALL)
    used = set(_REFERENCE.findall(rest))
    # matplotlib names every group, in each picture the same.
    rest = _GROUP_ID.sub(lambda found: found[0] if found[1] in used else "", rest)
    rest = _FAMILY.sub("", rest)
    rest = _COLOUR.sub(lambda found: _VARIABLES[found[0]], rest)
    name = chart.name
    return (
        f'<svg role="img" aria-labelledby="{name}-title {name}-text"'
        f' viewBox="{box[1] if box else ""}"'
        ' xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f'<title id="{name}-title">{escape(chart.title)}</title>'
        f'<desc id="{name}-text">{escape(chart.summary)}</desc>{rest}'
    )
