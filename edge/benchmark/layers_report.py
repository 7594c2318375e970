"""The ops of models as text for the terminal, and as fields for JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edge.terminal import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.benchmark.layers import LayerTimes

SCHEMA_VERSION = 1
NAME_COLUMNS = 40
METHOD = (
    "each op was cut out and invoked alone, with the delegate it has in the whole model; "
    "the price of an empty call is taken off"
)


def fields(timed: Sequence[LayerTimes]) -> dict[str, Any]:
    """Return models' ops as JSON has them."""
    models = [asdict(model) | {"sum_ratio": model.sum_ratio} for model in timed]
    return {"schema_version": SCHEMA_VERSION, "method": METHOD, "models": models}


def render(timed: LayerTimes) -> str:
    """Return one model's ops as text: each of them, then their kinds."""
    rows = [
        [
            layer.number,
            layer.kind,
            "x".join(map(str, layer.shape)),
            f"{layer.time_us:.1f}",
            f"{layer.low_us:.1f} to {layer.high_us:.1f}",
            f"{layer.share_ratio:.1%}",
            _short(layer.output),
        ]
        for layer in timed.layers
    ]
    headers = ("op", "kind", "output shape", "µs", "least to greatest", "share", "output")
    total_us = sum(layer.time_us for layer in timed.layers)
    return (
        f"{timed.model}, {timed.threads} thread{'s' * (timed.threads > 1)}\n"
        f"{table.render(headers, rows)}\n\n{_kinds(timed)}\n\n"
        f"note: {METHOD} ({timed.call_us:.1f} µs)\n"
        f"note: the ops' sum is {total_us:.0f} µs, the whole model {timed.whole_us:.0f} µs: "
        f"{timed.sum_ratio:.2f}; trust the shares more than the times"
    )


def _short(name: str) -> str:
    """Return the end of a name's first part: a converter joins the names of what it fused."""
    first = name.partition(";")[0]
    return first if len(first) <= NAME_COLUMNS else f"…{first[-NAME_COLUMNS:]}"


def _kinds(timed: LayerTimes) -> str:
    found: dict[str, list[float]] = {}
    for layer in timed.layers:
        found.setdefault(layer.kind, []).append(layer.share_ratio)
    ordered = sorted(found.items(), key=lambda item: -sum(item[1]))
    rows = [[kind, len(shares), f"{sum(shares):.1%}"] for kind, shares in ordered]
    return table.render(("kind", "ops", "share"), rows)
