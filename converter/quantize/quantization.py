"""Calibrate and quantise a float model file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calibration.image_sets import DIGITS
from converter import export
from converter.quantize.islands import kept_float_names
from converter.quantize.observations import Observations
from converter.quantize.quantize import TOOLS, Quantized, quantize
from converter.quantize.recipe import recipe_names
from converter.quantize.repairs.bias_correction import correct_biases
from converter.quantize.repairs.gains import silus
from converter.quantize.scores import saturate_scores, score_roles
from edge.errors import ModelError
from edge.model.readers.manifest import Calibration, ImageDigests
from edge.terminal.version import versions

if TYPE_CHECKING:
    from calibration.dataset import ImageSet
    from calibration.ranges import Range
    from converter.graph.values import Graph
    from converter.quantize.recipe import Recipe
    from edge.model.model_file import ModelFile
    from edge.terminal.progress import Progress


def quantize_file(
    file: ModelFile, images: ImageSet, recipe: Recipe, *, progress: Progress | None = None
) -> ModelFile:
    """Return the quantised model file, its manifest saying how it was made.

    The same file, images and recipe give the same bytes.

    Raises:
        ModelError: The model is not a float model, or an op cannot be quantised.
        SourceError: An image cannot be read.
    """
    refuse_quantized(file)
    return quantize_observed(Observations(file, images, progress=progress), recipe)


def fitted(recipe: Recipe, graph: Graph) -> Recipe:
    """Return the recipe for this model: without what depends on its having SiLUs or not."""
    if "silu_equalisation" not in recipe.repairs:
        return recipe
    others = [repair for repair in recipe.repairs if not repair.endswith("equalisation")]
    is_equalised = "equalisation" in recipe.repairs or any(silus(graph))
    return recipe.replace(repairs=(*(["equalisation"] if is_equalised else []), *others))


def quantize_observed(observations: Observations, recipe: Recipe) -> ModelFile:
    """Return the quantised model file of what was observed; as `quantize_file`."""
    file = observations.file
    recipe = fitted(recipe, observations.graph(equalised=False))
    is_equalised = "equalisation" in recipe.repairs
    ranges = {}
    if recipe.needs_ranges:
        ranges = observations.ranges(recipe.calibrator, equalised=is_equalised)
    repaired = _repaired(observations, recipe)
    made = quantize(repaired, with_floor(file, ranges, recipe), recipe, path=file.path)
    return described(file, made, images=observations.images, recipe=recipe)


def _repaired(observations: Observations, recipe: Recipe) -> Graph:
    """Return the float graph after the recipe's repairs, in the only order that makes sense.

    Equalisation changes what there is to round, and bias correction makes up for the rounding.
    """
    is_equalised = "equalisation" in recipe.repairs
    before = observations.graph(equalised=is_equalised)
    kept = kept_float_names(observations.graph(equalised=False), recipe, observations.file.path)
    rounded = before
    if "adaptive_rounding" in recipe.repairs:
        rounded = observations.rounded(equalised=is_equalised, skip=kept)
    if "bias_correction" not in recipe.repairs:
        return rounded
    means = observations.means(equalised=is_equalised)
    return correct_biases(before, means, rounded=rounded, skip=kept)


def refuse_quantized(file: ModelFile) -> None:
    """Refuse a model that is quantised already.

    Raises:
        ModelError: It is.
    """
    recipe = file.own_manifest().provenance.recipe
    if file.own_manifest().calibration is not None or recipe in recipe_names():
        raise ModelError(
            f"{file.path}: expected a float model, found one that is quantised already "
            f"({recipe}); give the float model that it was made of"
        )


def with_floor(file: ModelFile, ranges: dict[str, Range], recipe: Recipe) -> dict[str, Range]:
    """Return the ranges, raw scores saturated where the recipe says so."""
    if not recipe.needs_ranges:
        return ranges
    outputs = file.description.outputs
    tensors = [outputs[role] for role in score_roles(file.description.head)]
    return saturate_scores(ranges, tensors, floor=recipe.score_floor)


def digests(images: ImageSet, *, named: bool = True) -> ImageDigests:
    """Return what the manifest says of a set of images; of each one only where `named`."""
    contents = tuple(content[:DIGITS] for content in images.contents) if named else ()
    return ImageDigests(digest=images.digest, images=len(images.paths), contents=contents)


def described(file: ModelFile, made: Quantized, *, images: ImageSet, recipe: Recipe) -> ModelFile:
    """Return the file of what was quantised of another, its manifest saying how."""
    tools = versions((*export.QUANTIZE_TOOLS, *TOOLS[made.quantizer]))
    step = made.describe(recipe)
    found = export.remade(file, made.flatbuffer, step, tools=tools, recipe=recipe.name)
    before = found.own_manifest()
    calibration = Calibration(
        digest=images.digest,
        images=len(images.paths),
        seed=images.seed,
        method=recipe.calibrator,
    )
    manifest = before.replace(
        provenance=before.provenance.replace(seed=images.seed),
        calibration=calibration if recipe.needs_ranges else None,
        image_sets={"calibrate": digests(images)} if recipe.needs_ranges else {},
    )
    return export.sealed(found, manifest)
