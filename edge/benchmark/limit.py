"""What this machine could do at best with a model, and how much of that it reaches.

L = min(1 / invoke, cores / CPU time of all stages): no pipeline is faster than its interpreter
alone, nor than all cores at work without a pause.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.benchmark.spread import Spread, spread

if TYPE_CHECKING:
    from edge.benchmark.result import Row


@dataclass(frozen=True, slots=True)
class Limit:
    """The limit of one setting.

    Attributes:
        invoke_hz: 1 / bare invoke.
        cpu_hz: Cores over the CPU time of a frame.
        reached: Share of the limit, window by window.
    """

    invoke_hz: float
    cpu_hz: float
    reached: Spread

    @property
    def rate_hz(self) -> float:
        """L, frames a second."""
        return min(self.invoke_hz, self.cpu_hz)


def limit(row: Row, *, cores: int) -> Limit:
    """Return what a setting could reach: each window is held to its own bare invokes."""
    limits = [min(1e3 / w.bare_ms, cores * 1e3 / w.cpu_ms) for w in row.windows]
    return Limit(
        invoke_hz=spread([1e3 / w.bare_ms for w in row.windows]).median,
        cpu_hz=spread([cores * 1e3 / w.cpu_ms for w in row.windows]).median,
        reached=spread([w.rate_hz / top for w, top in zip(row.windows, limits, strict=True)]),
    )
