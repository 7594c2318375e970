"""Quantisation recipes: data files, one way to quantise a model each.

`int8` is int8 in and out, weights per channel and symmetric, activations per tensor and asymmetric.
A mixed recipe is one with rules: the ops that they select stay float32 or become int16.
"""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from edge.errors import ConfigError
from edge.record import Checks, Record, read

if TYPE_CHECKING:
    from collections.abc import Iterable

DEFAULT_RECIPE = "int8"

Weights = Literal["int8", "float16"]
# `int8_dynamic`: float32 in the file, rounded to int8 by the kernels, frame by frame.
Activations = Literal["int8", "int16", "int8_dynamic", "float32"]
QuantizerName = Literal["auto", "litert", "tflite_converter"]
Kept = Literal["float32", "int16"]
# The first is the second for a model with SiLUs, and nothing for others.
Repair = Literal["silu_equalisation", "equalisation", "bias_correction", "adaptive_rounding"]


def check_patterns(names: Iterable[str]) -> None:
    """Refuse what is no regular expression.

    Raises:
        ValueError: One is none.
    """
    try:
        _ = [re.compile(pattern) for pattern in names]
    except re.error as error:
        raise ValueError(f"{error.pattern!r} is no regular expression: {error}") from error


class Selection(Record, frozen=True):
    """Ops of the float model; one is selected if any of the three says so.

    Attributes:
        names: Regular expressions, searched for in the names of the tensors that an op writes.
        kinds: Builtin names, such as `CONV_2D`.
        ops: Numbers in the float model's order, as `edge-convert inspect` lists them.
    """

    checks: ClassVar[Checks] = {"names": check_patterns}

    names: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    ops: tuple[Annotated[int, Meta(ge=0)], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.names or self.kinds or self.ops)

    def covers(self, *, number: int, kind: str, names: Iterable[str]) -> bool:
        """Return whether an op is selected.

        Args:
            number: Of the op.
            kind: Its builtin name.
            names: Of the tensors that it writes.
        """
        if number in self.ops or kind in self.kinds:
            return True
        return any(re.search(pattern, name) for pattern in self.names for name in names)

    def singly(self) -> dict[str, Selection]:
        """Return its parts, one pattern, kind or number each, by what was typed."""
        return (
            {name: Selection(names=(name,)) for name in self.names}
            | {kind: Selection(kinds=(kind,)) for kind in self.kinds}
            | {str(number): Selection(ops=(number,)) for number in self.ops}
        )


class Recipe(Record, frozen=True, kw_only=True):
    """One way to quantise a model.

    Attributes:
        purpose: What it is for, where it is not for the board; said in every output.
        quantizer: `litert` (litert-quantizer), `tflite_converter` (TensorFlow's), or `auto`: the
            former, unless the model has an op that it would leave float.
        weights: Kind of the weights; int8 is symmetric, per channel.
        activations: Kind of what the ops hand on; int8 is asymmetric, int16 symmetric.
        calibrator: Key of `calibration.calibrators.CALIBRATORS`; unused where `needs_ranges` is
            false.
        score_floor: Scores below it need not be told apart: raw scores are saturated there, which
            leaves finer levels to those that matter. 0 keeps the observed range.
        repairs: Of the float model before it is quantised, in this order.
        keep_float: Ops that stay float32.
        keep_int16: Ops that take int16 activations.
    """

    schema_version: Literal[1]
    name: str
    description: str
    purpose: str = ""
    quantizer: QuantizerName
    weights: Weights
    activations: Activations
    calibrator: str = "percentile"
    score_floor: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    repairs: tuple[Repair, ...] = ()
    keep_float: Selection = Selection()
    keep_int16: Selection = Selection()

    @property
    def needs_ranges(self) -> bool:
        """Return whether activations get a scale, so that images are needed to find it."""
        return self.activations in ("int8", "int16")

    @property
    def is_mixed(self) -> bool:
        """Return whether some ops are kept out of the recipe's own precision."""
        return bool(self.keep_float or self.keep_int16)


def with_ranges(
    recipe: Recipe, *, calibrator: str | None = None, repairs: tuple[Repair, ...] | None = None
) -> Recipe:
    """Return the recipe with another calibrator or other repairs; `None` leaves its own.

    Raises:
        ConfigError: It looks at no images, which both need.
    """
    if not recipe.needs_ranges:
        raise ConfigError(
            f"recipe {recipe.name}: expected one that looks at images, to calibrate or repair; "
            f"leave --calibrator and --repairs out, or type: --recipe {DEFAULT_RECIPE}"
        )
    changes = {"calibrator": calibrator, "repairs": repairs}
    return recipe.replace(**{key: value for key, value in changes.items() if value is not None})


def with_kept(recipe: Recipe, names: Iterable[str], *, precision: Kept = "float32") -> Recipe:
    """Return the recipe that also keeps the ops that write these tensors; names are exact."""
    patterns = tuple(f"^{re.escape(name)}$" for name in names)
    return with_kept_ops(recipe, Selection(names=patterns), precision=precision)


def with_kept_ops(recipe: Recipe, ops: Selection, *, precision: Kept = "float32") -> Recipe:
    """Return the recipe that also keeps the selected ops, named as the mixed one that it is.

    Raises:
        ConfigError: The recipe's activations are not int8: there is nothing to keep them from.
    """
    if recipe.activations != "int8":
        raise ConfigError(
            f"expected a recipe with int8 activations to keep layers out of, found "
            f"{recipe.name!r}; choose --recipe {DEFAULT_RECIPE}"
        )
    field = "keep_float" if precision == "float32" else "keep_int16"
    before: Selection = getattr(recipe, field)
    both = Selection(
        names=(*before.names, *ops.names),
        kinds=(*before.kinds, *ops.kinds),
        ops=(*before.ops, *ops.ops),
    )
    name = recipe.name if recipe.is_mixed else f"{recipe.name}_mixed"
    return recipe.replace(**{field: both, "name": name})


def recipe_names() -> list[str]:
    """Return the names of the recipes that are shipped."""
    folder = resources.files("converter.quantize") / "recipes"
    return sorted(
        entry.name.removesuffix(".json")
        for entry in folder.iterdir()
        if entry.name.endswith(".json")
    )


def load_recipe(name: str) -> Recipe:
    """Return a shipped recipe.

    Raises:
        ConfigError: There is none of that name.
    """
    known = recipe_names()
    if name not in known:
        raise ConfigError(f"expected a recipe, one of {', '.join(known)}, found {name!r}")
    text = (resources.files("converter.quantize") / "recipes" / f"{name}.json").read_text("utf-8")
    return read(Recipe, json.loads(text))
