"""What to try when the gate refuses a quantised model, the cheapest at run time first."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from converter.quantize.recipe import Repair, with_kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from converter.graph.values import Graph
    from converter.quantize.recipe import Recipe
    from converter.search.sensitivity import LayerError

# The recipe's own comes first. Entropy is left out: measured on SSDLite it never was the best.
CALIBRATORS = ("percentile", "mse", "minmax")
REPAIRS: tuple[tuple[Repair, ...], ...] = (
    ("equalisation", "adaptive_rounding", "bias_correction"),
    ("adaptive_rounding", "bias_correction"),
)
# Worst layers kept float, at most. Half of a model in float is none in int8.
MAX_KEPT = 16
MAX_KEPT_RATIO = 0.5
WORDS = dict(
    zip(
        get_args(Repair),
        ("equalisation of SiLUs", "equalisation", "bias correction", "adaptive rounding"),
        strict=True,
    )
)


def free_repairs(recipe: Recipe) -> Iterator[tuple[str, Recipe]]:
    """Yield what costs nothing at run time: (what it changes, recipe), none twice.

    Other calibrators, then other repairs of the weights, then both.
    """
    if recipe.activations != "int8":
        return
    calibrators = dict.fromkeys((recipe.calibrator, *CALIBRATORS))
    for repairs in dict.fromkeys((recipe.repairs, *REPAIRS)):
        for calibrator in calibrators:
            if (repairs, calibrator) == (recipe.repairs, recipe.calibrator):
                continue
            changes = {"repairs": repairs, "calibrator": calibrator}
            yield _words(repairs, calibrator), recipe.replace(**changes)


def kept_layers(
    recipe: Recipe, graph: Graph, errors: Sequence[LayerError]
) -> list[tuple[str, Recipe]]:
    """Return recipes that keep ever more of the worst layers float: (what it changes, recipe).

    A layer is kept together with what reads it: alone, its output would be rounded at the door.

    Args:
        recipe: The best without.
        graph: Of the float model.
        errors: Of its layers.
    """
    if recipe.activations != "int8":
        return []
    worst = [row.name for row in sorted(errors, key=lambda row: (-row.share, row.name))]
    steps = (_with_readers(graph, worst[: count + 1]) for count in range(min(MAX_KEPT, len(worst))))
    distinct = dict.fromkeys(tuple(names) for names in steps)
    most = MAX_KEPT_RATIO * len(graph.ops)
    words = _words(recipe.repairs, recipe.calibrator)
    return [
        (f"{words}, {len(names)} layers float", with_kept(recipe, names))
        for names in distinct
        if 0 < len(names) <= most
    ]


def search_fewest(count: int, passes: Callable[[int], bool]) -> int | None:
    """Return how many of `count` steps it takes to pass, or `None` if all are not enough.

    Doubled until it passes, then halved towards the last that did not: of 16, at most 8 tries.

    Args:
        count: Of steps.
        passes: Tells whether so many are enough; called once for each number.
    """
    failed, tried = 0, 1
    while tried <= count and not passes(tried):
        failed, tried = tried, min(2 * tried, count) if tried < count else count + 1
    if tried > count:
        return None
    while tried - failed > 1:
        middle = (failed + tried) // 2
        if passes(middle):
            tried = middle
        else:
            failed = middle
    return tried


def _words(repairs: Sequence[Repair], calibrator: str) -> str:
    parts = [f"calibrator {calibrator}", *(WORDS[repair] for repair in repairs)]
    return ", ".join(parts)


def _with_readers(graph: Graph, names: Sequence[str]) -> list[str]:
    """Return the layers and those that read them, in the model's order."""
    return [op.output for op in graph.ops if not {*op.inputs, *op.outputs}.isdisjoint(names)]
