"""Calibrate and quantise a float model file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calibration.observe import observe
from converter import export
from converter.quantize import quantize, saturate_scores
from edge.errors import ModelError
from edge.manifest import Calibration, ModelFile

if TYPE_CHECKING:
    from calibration.dataset import ImageSet
    from calibration.progress import Progress
    from converter.recipe import Recipe


def quantize_file(
    file: ModelFile, images: ImageSet, recipe: Recipe, *, progress: Progress | None = None
) -> ModelFile:
    """Return the quantised model file, its manifest saying how it was made.

    Raises:
        ModelError: The model is not a float model, or an op cannot be quantised.
    """
    manifest = file.manifest
    if manifest.calibration is not None:
        raise ModelError(
            f"{file.path}: expected a float model, found one that is quantised already "
            f"({manifest.provenance.recipe}); give the float model that it was made of"
        )
    ranges = observe(
        file.flatbuffer,
        images,
        manifest.input,
        calibrator=recipe.calibrator,
        progress=progress,
    )
    if manifest.head.activation == "sigmoid":
        scores = manifest.outputs["scores"]
        ranges = saturate_scores(ranges, scores, floor=recipe.score_floor)
    flatbuffer = quantize(file.flatbuffer, ranges, recipe, path=file.path)
    tools = manifest.provenance.tools | export.tool_versions(export.QUANTIZE_TOOLS)
    provenance = manifest.provenance.model_copy(
        update={
            "recipe": recipe.name,
            "seed": images.seed,
            "tools": dict(sorted(tools.items())),
            "changes": f"{manifest.provenance.changes}; quantised after training ({recipe.name})",
        }
    )
    calibration = Calibration(
        digest=images.digest,
        images=len(images.paths),
        seed=images.seed,
        method=recipe.calibrator,
    )
    updated = manifest.model_copy(update={"provenance": provenance, "calibration": calibration})
    return export.sealed(ModelFile(file.path, flatbuffer, updated, file.anchors), updated)
