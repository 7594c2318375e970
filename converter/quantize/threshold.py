"""From which error on an image is an anomaly: measured on images that are as they should be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import numpy as np

from converter import export
from converter.choice import QUANTILE
from edge.capture.images import load_image
from edge.decode.anomaly import AnomalyHead
from edge.errors import ModelError, SourceError
from edge.frame import StageClock
from edge.model.loaded import load_model
from edge.preprocess import InputBuffer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.model.model_file import ModelFile
    from edge.results.anomaly import Anomaly
    from edge.terminal.progress import Progress

DIGITS, LEAST = 4, 1e-9


def with_threshold(
    file: ModelFile,
    images: Sequence[Path],
    *,
    quantile: float = QUANTILE,
    progress: Progress | None = None,
) -> ModelFile:
    """Return an autoencoder with the threshold that its own errors on images give; else the file.

    An int8 model has errors of its own, so that it needs a threshold of its own.

    Args:
        file: Of any kind of head.
        images: That show nothing unusual.
        quantile: Share of them below the threshold.
        progress: Called with (images run, images to run).

    Raises:
        ModelError: It is float, and gives its images back worse than one even colour would.
        SourceError: There are no images, or one cannot be read.
    """
    before = file.own_manifest()
    if not isinstance(before.head, AnomalyHead):
        return file
    if not images:
        raise SourceError(
            f"{file.path}: expected good images among those that calibrate, found none; give more"
        )
    model = load_model(file)
    buffer, tensors = InputBuffer(model.spec), model.output_buffers()
    errors, variances = [], []
    for done, path in enumerate(images, start=1):
        buffer.fill(load_image(path))
        model.invoke(buffer, out=tensors)
        seen = cast("Anomaly", model.decode(tensors, buffer.placement, StageClock()))
        errors.append(seen.error)
        pixels = model.spec.input.quant.dequantize(buffer.tensor)  # (1, H, W, C)
        variances.append(pixels.var(axis=(1, 2)).mean())
        if progress:
            progress(done, len(images))
    error, variance = float(np.median(errors)), float(np.median(variances))
    if error > variance and before.calibration is None:
        raise ModelError(
            f"{file.path}: expected an autoencoder that gives its images back, found an error of "
            f"{error:.3g} where one even colour has {variance:.3g}; check --range or --mean/--std, "
            "--input (colour order), and that the images are like those that it was trained on"
        )
    found = _above(max(LEAST, float(np.quantile(errors, quantile))))
    step = f"threshold {found:g}: the {quantile:g} quantile of the errors of {len(images)} images"
    return export.sealed(
        file,
        before.replace(
            head=before.head.replace(threshold=found),
            provenance=export.one_step_on(before.provenance, step, tools={}),
        ),
    )


def _above(error: float) -> float:
    """Return the next number of a few digits: an error that reaches the threshold is an anomaly."""
    step = 10.0 ** (math.floor(math.log10(error)) + 1 - DIGITS)
    return float(f"{(math.floor(error / step) + 1) * step:.{DIGITS}g}")
