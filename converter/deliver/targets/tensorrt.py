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
import importlib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from converter import export
from converter.deliver.targets.onnx_ops import to_onnx
from converter.graph.reading import read
from converter.judge.bill import HeadRow
from converter.quantize.quantization import refuse_quantized
from edge.capture.images import load_image
from edge.errors import DependencyError, ModelError
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
    from edge.model.loaded import LoadedModel
    from edge.model.model_file import ModelFile
    from edge.model.readers.manifest import Manifest

RECIPE = "int8_qdq_symmetric"
CALIBRATOR = "percentile"
MAX_FLOAT_ERROR = 1e-3  # of a head's range, float ONNX against float .tflite
VERIFIED_IMAGES = 8

Heads = dict[str, "NDArray[np.float32]"]


@dataclass(frozen=True, slots=True)
class OnnxBill:
    """What an ONNX file costs against the float `.tflite`, by onnxruntime.

    Attributes:
        heads: The rounded file's heads against the float model's.
        float_error: Worst difference of the same graph without rounding, in a head's range.
    """

    heads: tuple[HeadRow, ...]
    float_error: float

    def describe(self) -> str:
        """Return the figures, a clause for people."""
        rows = [
            f"{row.role} cosine {row.cosine:.5f}, SNR {row.snr_db:.1f} dB" for row in self.heads
        ]
        return f"{'; '.join(rows)}; without rounding within {self.float_error:.1e} of the range"


def make_qdq(file: ModelFile, ranges: dict[str, Range], images: ImageSet) -> bytes:
    """Return the ONNX file of a float model, its manifest inside.

    Args:
        file: The float model.
        ranges: Of its tensors, by `CALIBRATOR`.
        images: That they were observed on, for the manifest.

    Raises:
        ModelError: The model is quantised already, or has an op without ONNX form.
        DependencyError: `onnx` is not installed.
    """
    refuse_quantized(file)
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
    before = file.own_manifest().provenance
    tools = before.tools | versions((*export.QUANTIZE_TOOLS, "onnx"))
    provenance = before.replace(
        recipe=RECIPE,
        seed=images.seed,
        tools=dict(sorted(tools.items())),
        changes=f"{before.changes}; written as ONNX with rounding to int8 for TensorRT",
    )
    calibration = Calibration(
        digest=images.digest, images=len(images.paths), seed=images.seed, method=CALIBRATOR
    )
    update = {"provenance": provenance, "calibration": calibration, "accuracy": ()}
    return file.own_manifest().replace(**update)


def verify_qdq(file: ModelFile, data: bytes, paths: Sequence[Path]) -> OnnxBill:
    """Run an ONNX file, and its graph without rounding, beside the float model.

    Raises:
        ModelError: The graph without rounding computes something else than the float model.
        DependencyError: `onnxruntime` is not installed.
    """
    plain = to_onnx(read(file.flatbuffer, file.path), path=file.path).SerializeToString()
    runs = [_Session(file, model) for model in (plain, data)]
    reference = load_model(file)
    inputs = [_input(reference, path) for path in paths[:VERIFIED_IMAGES]]
    wanted = _stacked([_heads(reference, buffer) for buffer in inputs])
    found, rounded = (_stacked([run.heads(buffer.tensor) for buffer in inputs]) for run in runs)
    error = max(_relative_error(wanted[role], found[role]) for role in wanted)
    if error > MAX_FLOAT_ERROR:
        raise ModelError(
            f"{file.path}: expected the ONNX graph to compute the float model within "
            f"{MAX_FLOAT_ERROR:g} of each head's range, found {error:.2g}; do not use it"
        )
    rows = tuple(_row(role, wanted[role], rounded[role]) for role in sorted(wanted))
    return OnnxBill(rows, error)


def onnxruntime_module() -> Any:  # noqa: ANN401
    """Import and return `onnxruntime`.

    Raises:
        DependencyError: It is not installed.
    """
    try:
        return importlib.import_module("onnxruntime")
    except ModuleNotFoundError as error:
        raise DependencyError(
            "onnxruntime is needed to verify what --tensorrt makes; "
            "type: pip install 'edge-vision[onnx]'"
        ) from error


class _Session:
    def __init__(self, file: ModelFile, model: bytes) -> None:
        runtime = onnxruntime_module()
        self._session: Any = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
        self._outputs = file.description.outputs

    def heads(self, image: NDArray[np.float32]) -> Heads:
        name = self._session.get_inputs()[0].name
        found = self._session.run(list(self._outputs.values()), {name: image})
        return dict(zip(self._outputs, found, strict=True))


def _input(model: LoadedModel, path: Path) -> InputBuffer:
    buffer = InputBuffer(model.spec)
    buffer.fill(load_image(path))
    return buffer


def _heads(model: LoadedModel, buffer: InputBuffer) -> Heads:
    out = model.output_buffers()
    model.invoke(buffer, out=out)
    return out


def _stacked(found: Sequence[Heads]) -> Heads:
    return {role: np.concatenate([heads[role] for heads in found]) for role in found[0]}


def _relative_error(wanted: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    return float(np.abs(wanted - found).max() / (np.ptp(wanted) or 1))


def _row(role: str, wanted: NDArray[np.float32], found: NDArray[np.float32]) -> HeadRow:
    a, b = wanted.astype(np.float64).ravel(), found.astype(np.float64).ravel()
    norm, noise = math.sqrt((a @ a) * (b @ b)), float((a - b) @ (a - b))
    snr_db = 10 * math.log10(float(a @ a) / noise) if noise and a.any() else math.inf
    return HeadRow(role, float(a @ b) / norm if norm else 1.0, snr_db, float(np.abs(a - b).max()))
