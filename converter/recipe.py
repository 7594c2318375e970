"""Quantisation recipes: data files with decodable names.

`int8_wpc_apt` is int8, weights per channel, activations per tensor.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge.errors import ConfigError

DEFAULT_RECIPE = "int8_wpc_apt"


class Recipe(BaseModel):
    """One way to quantise a model.

    Attributes:
        calibrator: Key of `calibration.calibrators.CALIBRATORS`.
        score_floor: Scores below it need not be told apart: raw scores are saturated there, which
            leaves finer levels to those that matter. 0 keeps the observed range.
        bias_correction: Take the mean error of the rounded weights out of the biases.
        operations: Rules of litert-quantizer, in its own words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1]
    name: str
    description: str
    calibrator: str
    score_floor: Annotated[float, Field(ge=0, lt=1)]
    bias_correction: bool
    operations: tuple[dict[str, Any], ...]


def recipe_names() -> list[str]:
    """Return the names of the recipes that are shipped."""
    folder = resources.files("converter") / "recipes"
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
    text = (resources.files("converter") / "recipes" / f"{name}.json").read_text("utf-8")
    return Recipe.model_validate(json.loads(text))
