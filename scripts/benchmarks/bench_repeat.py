"""Run the same benchmark in pairs, and count how often two runs' intervals overlap.

`scripts/bench --repeat [--pairs N] [--duration TIME]`: on a quiet machine 19 of 20 should. The two
runs of a pair follow one another; the built-in model on the built-in source, one thread.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from edge.benchmark import report
from edge.benchmark.comparison import FIGURES
from edge.benchmark.duration import parse as duration
from edge.benchmark.measuring import Plan, measure
from edge.benchmark.spread import spread
from edge.config.reading import parse
from edge.terminal import table

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.benchmark.result import Result, Window
    from edge.benchmark.spread import Spread

PAIRS = 20
SECONDS = 10.0
VALUES: dict[str, Callable[[Window], float]] = {
    **FIGURES,
    "frame / bare invoke": lambda window: window.frame_ms / window.bare_ms,
    "CPU / CPU of a bare invoke": lambda window: window.cpu_ms / window.bare_cpu_ms,
}


def main() -> int:
    """Measure and print the counts; return 0, whatever they are: a busy machine is not a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"of runs ({PAIRS})")
    parser.add_argument("--duration", type=duration, default=SECONDS, help="of each run (10s)")
    arguments = parser.parse_args()
    plan = Plan(duration_s=arguments.duration, starts=0)
    settings = parse({"camera": {"source": "demo:", "realtime": False}, "model": {"threads": 1}})
    pairs: list[tuple[Result, Result]] = []
    for number in range(arguments.pairs):
        pairs.append((measure([settings], plan), measure([settings], plan)))
        sys.stderr.write(f"pair {number + 1} of {arguments.pairs}\n")
    print(f"{report.host_lines(pairs[-1][1].host)}\n\n{render(pairs)}")
    return 0


def render(pairs: list[tuple[Result, Result]]) -> str:
    """Return a line a figure: how many pairs overlap, and how many of all windows agreed."""
    rows = []
    for name, value in VALUES.items():
        found = [tuple(figure(result, value) for result in pair) for pair in pairs]
        overlaps = sum(a.low <= b.high and b.low <= a.high for a, b in found)
        steady = [(a, b) for a, b in found if a.agrees and b.agrees]
        steadily = sum(a.low <= b.high and b.low <= a.high for a, b in steady)
        rows.append([name, f"{overlaps} of {len(found)}", f"{steadily} of {len(steady)}"])
    return table.render(("figure", "intervals overlap", "where all windows agree"), rows)


def figure(result: Result, value: Callable[[Window], float]) -> Spread:
    """Return one figure's spread over a run's windows."""
    return spread([value(window) for window in result.rows[0].windows])


if __name__ == "__main__":
    sys.exit(main())
