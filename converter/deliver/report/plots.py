"""Plots as SVG that stands alone and follows the reader's light or dark scheme.

Written by hand and not by a plotting library: it is three kinds of marks, the colours must follow
the page, and matplotlib would add 60 MiB to the converter's install for them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np

from converter.deliver.report.markup import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from converter.deliver.report.contents import LayerFeatures
    from converter.search.sensitivity import LayerError

WIDTH, LEFT, RIGHT = 760, 48, 8
PANEL, TOP, BETWEEN, BOTTOM = 130, 22, 38, 26
NORMS_HEIGHT = 90
TICKS = 4
# A layer without any error is drawn at this ratio: above what int8 can reach.
MOST_DB = 60.0
STYLE = """
.plot text { font: 12px system-ui, sans-serif; fill: #555; }
.plot .bar { fill: #3b6fb6; }
.plot .bad { fill: #c4462f; }
.plot .rule { stroke: #999; stroke-width: 0.5; }
@media (prefers-color-scheme: dark) {
  .plot text { fill: #aaa; } .plot .bar { fill: #6f9fe0; } .plot .bad { fill: #ef8168; }
}
"""


def layer_errors(layers: Sequence[LayerError], *, worst: int) -> str:
    """Return two rows of bars, a bar a layer in the order in which they run: SNR, share of error.

    Args:
        layers: At least one.
        worst: How many of the greatest shares stand out.
    """
    height = TOP + PANEL + BETWEEN + PANEL + BOTTOM
    svg = _svg(height, f"Error of {len(layers)} layers")
    names = [f"{number}: {layer.name} ({layer.op})" for number, layer in enumerate(layers)]
    bad = set(np.argsort([-layer.share for layer in layers], kind="stable")[:worst].tolist())
    ratios = [max(0.0, min(layer.snr_db, MOST_DB)) for layer in layers]
    titles = [
        f"{name}: {layer.snr_db:.1f} dB, {layer.share:.1%}"
        for name, layer in zip(names, layers, strict=True)
    ]
    _panel(svg, ratios, titles, bad=bad, top=TOP, height=PANEL,
           heading="signal to noise of each layer, dB: low is bad")  # fmt: skip
    shares = [100 * layer.share for layer in layers]
    _panel(svg, shares, titles, bad=bad, top=TOP + PANEL + BETWEEN, height=PANEL,
           heading="share of the outputs' error, %: high is bad")  # fmt: skip
    _text(svg, (LEFT, height - 8), f"layer 0 to {len(layers) - 1}, in the order in which they run")
    return ET.tostring(svg, encoding="unicode")


def filter_norms(layer: LayerFeatures) -> str:
    """Return bars of the L2 norm of each filter of a layer; dead and weak channels stand out."""
    height = TOP + NORMS_HEIGHT + BOTTOM
    svg = _svg(height, f"Norms of {len(layer.norms)} filters")
    bad = {*layer.dead, *layer.weak}
    titles = [f"channel {number}: {norm:.3g}" for number, norm in enumerate(layer.norms)]
    _panel(svg, layer.norms.tolist(), titles, bad=bad, top=TOP, height=NORMS_HEIGHT,
           heading="norm of each filter's weights")  # fmt: skip
    _text(svg, (LEFT, height - 8), f"channel 0 to {len(layer.norms) - 1}; red: dead or weak")
    return ET.tostring(svg, encoding="unicode")


def _svg(height: int, label: str) -> ET.Element:
    attributes = {
        "xmlns": "http://www.w3.org/2000/svg",
        "class": "plot",
        "viewBox": f"0 0 {WIDTH} {height}",
        "role": "img",
        "aria-label": label,
    }
    svg = ET.Element("svg", attributes)
    ET.SubElement(svg, "style").text = STYLE
    return svg


# One panel of bars: where it stands, and what it shows.
def _panel(  # noqa: PLR0913
    svg: ET.Element,
    values: Sequence[float],
    titles: Sequence[str],
    *,
    bad: set[int],
    top: int,
    height: int,
    heading: str,
) -> None:
    peak = nice_peak(max(values, default=0.0))
    _text(svg, (LEFT, top - 8), heading)
    for tick in range(TICKS + 1):
        y = top + height - height * tick / TICKS
        attributes = {"x1": f"{LEFT}", "x2": f"{WIDTH - RIGHT}", "y1": f"{y:.1f}", "y2": f"{y:.1f}"}
        ET.SubElement(svg, "line", {"class": "rule", **attributes})
        _text(svg, (LEFT - 6, y + 4), f"{peak * tick / TICKS:g}", anchor="end")
    step = (WIDTH - LEFT - RIGHT) / max(1, len(values))
    for number, (value, title) in enumerate(zip(values, titles, strict=True)):
        length = height * value / peak
        bar = ET.SubElement(
            svg,
            "rect",
            {
                "class": "bad" if number in bad else "bar",
                "x": f"{LEFT + step * number:.2f}",
                "y": f"{top + height - length:.2f}",
                "width": f"{step * 0.8:.2f}",
                "height": f"{length:.2f}",
            },
        )
        ET.SubElement(bar, "title").text = clean(title)


def nice_peak(value: float) -> float:
    """Return the least of 1, 2, 4, 5, 8, 10 times a power of ten that is not below a value."""
    if value <= 0:
        return 1.0
    power = float(10 ** math.floor(math.log10(value)))
    return next(step * power for step in (1, 2, 4, 5, 8, 10, 20) if step * power >= value)


def _text(
    svg: ET.Element, place_xy: tuple[float, float], text: str, *, anchor: str = "start"
) -> None:
    x, y = place_xy
    attributes = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor}
    ET.SubElement(svg, "text", attributes).text = clean(text)
