"""An ONNX file for TensorRT on a Jetson: float, with rounding to int8 written into the graph.

TensorRT's explicit quantisation takes QuantizeLinear and DequantizeLinear in pairs, symmetric
(zero point 0), per tensor for activations and per channel for weights, with float biases. The int8
`.tflite` is asymmetric, so that the file is made anew of the float model and its calibrated ranges.

Source: NVIDIA TensorRT, "Working with Quantized Types", explicit quantisation and "Q/DQ
Layer-Placement Recommendations": pairs before weighted ops and on the residual input of sums; none
behind weighted ops; concatenations, pools and reshapes commute with them.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from converter import export
from converter.deliver.targets.onnx_ops import to_onnx
from converter.deliver.targets.onnx_writer import package
from converter.graph.reading import read
from converter.judge.verify import head_row
from edge.capture.images import load_image
from edge.errors import ModelError
from edge.model.loaded import load_model
from edge.model.readers.anchors import anchors_to_bytes
from edge.model.readers.manifest import (
    ANCHORS_MEMBER,
    MANIFEST_MEMBER,
    Calibration,
    digest_of,
)
from edge.preprocess import InputBuffer
from edge.terminal.version import versions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from calibration.dataset import ImageSet
    from calibration.ranges import Range
    from edge.model.model_file import ModelFile
    from edge.model.readers.manifest import Manifest

RECIPE = "int8_qdq_symmetric"
CALIBRATOR = "percentile"
MAX_FLOAT_ERROR = 1e-3  # of a head's range, float ONNX against float .tflite
VERIFIED_IMAGES = 8

Heads = dict[str, "NDArray[np.float32]"]


def make_qdq(file: ModelFile, ranges: dict[str, Range], images: ImageSet) -> bytes:
    """Return the ONNX file of a float model, its manifest inside.

    Args:
        file: The float model.
        ranges: Of its tensors, by `CALIBRATOR`.
        images: That they were observed on, for the manifest.

    Raises:
        ModelError: The model has an op without ONNX form.
        DependencyError: `onnx` is not installed.
    """
    model = to_onnx(read(file.flatbuffer, file.path), ranges, path=file.path)
    return with_manifest(model, _manifest(file, images), file.description.anchors)


def with_manifest(model: Any, manifest: Manifest, anchors: NDArray[np.float32] | None) -> bytes:  # noqa: ANN401
    """Return the bytes of a `ModelProto` with a manifest, its digest that of the model without."""
    digest = digest_of(model.SerializeToString(deterministic=True))
    sealed = manifest.replace(digest=digest)
    text = json.dumps(sealed.plain(), ensure_ascii=False)
    described = type(model)()
    described.CopyFrom(model)
    described.metadata_props.add(key=MANIFEST_MEMBER, value=text)
    if anchors is not None:
        stored = base64.b64encode(anchors_to_bytes(anchors)).decode()
        described.metadata_props.add(key=ANCHORS_MEMBER, value=stored)
    return bytes(described.SerializeToString(deterministic=True))


def _manifest(file: ModelFile, images: ImageSet) -> Manifest:
    before = file.own_manifest()
    provenance = export.one_step_on(
        before.provenance,
        "written as ONNX with rounding to int8 for TensorRT",
        tools=versions((*export.QUANTIZE_TOOLS, "onnx")),
        recipe=RECIPE,
    )
    calibration = Calibration(
        digest=images.digest, images=len(images.paths), seed=images.seed, method=CALIBRATOR
    )
    return before.replace(
        provenance=provenance.replace(seed=images.seed), calibration=calibration, accuracy=()
    )


def verify_qdq(file: ModelFile, data: bytes, paths: Sequence[Path]) -> str:
    """Run an ONNX file, and its graph without rounding, beside the float model; say how they fare.

    Raises:
        ModelError: The graph without rounding computes something else than the float model.
        DependencyError: `onnxruntime` is not installed.
    """
    plain = to_onnx(read(file.flatbuffer, file.path), path=file.path).SerializeToString()
    reference = load_model(file)
    shown = paths[:VERIFIED_IMAGES]
    inputs = [InputBuffer(reference.spec) for _ in shown]
    for buffer, path in zip(inputs, shown, strict=True):
        buffer.fill(load_image(path))
    made = [reference.output_buffers() for _ in inputs]
    for buffer, out in zip(inputs, made, strict=True):
        reference.invoke(buffer, out=out)
    wanted = {role: np.concatenate([heads[role] for heads in made]) for role in made[0]}
    found, rounded = (_by_onnxruntime(file, model, inputs) for model in (plain, data))
    error = max(
        float(np.abs(wanted[role] - found[role]).max() / (np.ptp(wanted[role]) or 1))
        for role in wanted
    )
    if error > MAX_FLOAT_ERROR:
        raise ModelError(
            f"{file.path}: expected the ONNX graph to compute the float model within "
            f"{MAX_FLOAT_ERROR:g} of each head's range, found {error:.2g}; do not use it"
        )
    rows = [_row(role, wanted[role], rounded[role]) for role in sorted(wanted)]
    return f"{'; '.join(rows)}; without rounding within {error:.1e} of the range"


def _by_onnxruntime(file: ModelFile, model: bytes, inputs: Sequence[InputBuffer]) -> Heads:
    session = package("onnxruntime").InferenceSession(model, providers=["CPUExecutionProvider"])
    name, outputs = session.get_inputs()[0].name, file.description.outputs
    runs = [session.run(list(outputs.values()), {name: buffer.tensor}) for buffer in inputs]
    columns = zip(*runs, strict=True)
    return {role: np.concatenate(heads) for role, heads in zip(outputs, columns, strict=True)}


def _row(role: str, wanted: NDArray[np.float32], found: NDArray[np.float32]) -> str:
    row = head_row(role, [(wanted, found)])
    return f"{role} cosine {row.cosine:.5f}, SNR {row.snr_db:.1f} dB"
