"""Calibrate and quantise a float model file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calibration.observe import observe
from converter import export
from converter.bias_correction import correct_biases, observe_means
from converter.islands import kept_float_names
from converter.quantize import TOOLS, Quantized, quantize, saturate_scores
from converter.recipe import recipe_names
from edge.errors import ModelError
from edge.heads import SsdHead
from edge.manifest import Calibration, ModelFile

if TYPE_CHECKING:
    from calibration.dataset import ImageSet
    from calibration.progress import Progress
    from calibration.ranges import Range
    from converter.recipe import Recipe


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
    transform = file.manifest.input
    ranges = {}
    if recipe.needs_ranges:
        ranges = observe(
            file.flatbuffer, images, transform, calibrator=recipe.calibrator, progress=progress
        )
    corrected = file.flatbuffer
    if "bias_correction" in recipe.repairs:
        means = observe_means(file.flatbuffer, images, transform, progress=progress)
        kept = kept_float_names(file.flatbuffer, recipe, file.path)
        corrected = correct_biases(file.flatbuffer, means, skip=kept)
    made = quantize(corrected, _with_floor(file, ranges, recipe), recipe, path=file.path)
    return _described(file, made, images=images, recipe=recipe)


def refuse_quantized(file: ModelFile) -> None:
    """Refuse a model that is quantised already.

    Raises:
        ModelError: It is.
    """
    recipe = file.manifest.provenance.recipe
    if file.manifest.calibration is not None or recipe in recipe_names():
        raise ModelError(
            f"{file.path}: expected a float model, found one that is quantised already "
            f"({recipe}); give the float model that it was made of"
        )


def _with_floor(file: ModelFile, ranges: dict[str, Range], recipe: Recipe) -> dict[str, Range]:
    head = file.manifest.head
    if not recipe.needs_ranges or not isinstance(head, SsdHead) or head.activation != "sigmoid":
        return ranges
    return saturate_scores(ranges, file.manifest.outputs["scores"], floor=recipe.score_floor)


def _described(file: ModelFile, made: Quantized, *, images: ImageSet, recipe: Recipe) -> ModelFile:
    before = file.manifest.provenance
    tools = before.tools | export.tool_versions((*export.QUANTIZE_TOOLS, *TOOLS[made.quantizer]))
    provenance = before.model_copy(
        update={
            "recipe": recipe.name,
            "seed": images.seed,
            "tools": dict(sorted(tools.items())),
            "changes": f"{before.changes}; {made.describe(recipe)}",
        }
    )
    calibration = Calibration(
        digest=images.digest,
        images=len(images.paths),
        seed=images.seed,
        method=recipe.calibrator,
    )
    manifest = file.manifest.model_copy(
        update={
            "provenance": provenance,
            "calibration": calibration if recipe.needs_ranges else None,
        }
    )
    return export.sealed(ModelFile(file.path, made.flatbuffer, manifest, file.anchors), manifest)
