"""Curves as SVG that stands in a page: its text takes the page's colour, light or dark."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from markupsafe import Markup
    from matplotlib.axes import Axes

    Range = tuple[float, float]

# Points, of which the page makes pixels: as wide as a telephone shows it, two beside each other on
# a desk.
SIZE_PT = (380.0, 250.0)
POINTS_PER_INCH = 72.0
TEXT_PT = 11.0
# Told apart by people who see few colours, on white and on black.
# Source: Okabe and Ito 2008, "Color Universal Design"; without its black and its yellow.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
# Stands for the page's own colour until the SVG is written.
INK, INK_OF_PAGE = "#010203", "currentColor"
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "edge-vision",  # the same figures give the same page
    "font.size": TEXT_PT,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.2,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@dataclass(frozen=True, slots=True)
class Line:
    """One curve: its points `(x, y)`, and how it is drawn."""

    points: Sequence[tuple[float, float]]
    color: str = INK
    width_pt: float = 1.5
    opacity: float = 1.0
    style: str = "-"


def color(number: int) -> str:
    """Return the colour of a curve; after the last the first comes again."""
    return COLORS[number % len(COLORS)]


def chart(
    lines: Iterable[Line], x: str, y: str, *, x_range: Range | None = None, from_zero: bool = False
) -> Markup:
    """Return an `<svg>` of curves over their axes.

    Args:
        lines: The curves, the last on top.
        x: Name of the axis, with its unit.
        y: Likewise.
        x_range: Shown; by default all of it.
        from_zero: The vertical axis begins at 0.
    """

    def draw(axes: Axes) -> None:
        for line in lines:
            axes.plot(
                *zip(*line.points, strict=True),
                color=line.color,
                linewidth=line.width_pt,
                alpha=line.opacity,
                linestyle=line.style,
                marker="." if len(line.points) == 1 or line.style == ":" else "",
            )
        if x_range:
            axes.set_xlim(*x_range)
        if from_zero:
            axes.set_ylim(0, 1.04 * axes.get_ylim()[1])  # the highest point is not cut

    return _svg(draw, x, y)


def bars(
    heights: Sequence[float], x: str, y: str, *, marked: Collection[int] = frozenset()
) -> Markup:
    """Return an `<svg>` of bars side by side, numbered from 0.

    Args:
        heights: Of the bars.
        x: What they are.
        y: What their heights are, with the unit.
        marked: Numbers of the bars that stand out.
    """
    colors = [COLORS[1] if number in marked else COLORS[0] for number in range(len(heights))]

    def draw(axes: Axes) -> None:
        axes.bar(range(len(heights)), heights, color=colors)
        axes.locator_params("x", integer=True)

    return _svg(draw, x, y)


def standalone(svg: Markup) -> str:
    """Return the `<svg>` of a page as a file of its own, black on white."""
    head = '<svg xmlns="http://www.w3.org/2000/svg" style="color: #000; background: #fff"'
    return f"{head}{svg.removeprefix('<svg')}\n"


def _svg(draw: Callable[[Axes], None], x: str, y: str) -> Markup:
    import matplotlib as mpl  # noqa: PLC0415 - a board may lack it
    from matplotlib.figure import Figure  # noqa: PLC0415

    width, height = SIZE_PT
    with mpl.rc_context(STYLE):
        figure = Figure((width / POINTS_PER_INCH, height / POINTS_PER_INCH), layout="tight")
        draw(figure.add_subplot(xlabel=x, ylabel=y))
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, dpi=POINTS_PER_INCH)
    return _inline(out.getvalue(), label=f"{y} over {x}")


def _inline(svg: str, *, label: str) -> Markup:
    """Return what of an SVG file belongs into a page: no prologue, no names of schemas, no ids."""
    from markupsafe import Markup, escape  # noqa: PLC0415

    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    body = body.partition(">")[2].replace(INK, INK_OF_PAGE).replace("xlink:href", "href")
    box = f"0 0 {SIZE_PT[0]:g} {SIZE_PT[1]:g}"
    head = f'<svg viewBox="{box}" role="img" aria-label="{escape(label)}">'
    return Markup(head + body.strip())  # noqa: S704 - its texts were escaped by matplotlib
