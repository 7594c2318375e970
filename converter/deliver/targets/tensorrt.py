"""ONNX files for a GPU: float16, and float with rounding to int8 written into the graph.

TensorRT's explicit quantisation takes QuantizeLinear and DequantizeLinear in pairs, symmetric
(zero point 0), per tensor for activations and per channel for weights, with float biases. The int8
`.tflite` is asymmetric, so that the file is made anew of the float model and its calibrated ranges.
float16 needs no ranges, and is what the CUDA provider wants: it has no int8 convolution.

Source: NVIDIA TensorRT, "Working with Quantized Types", explicit quantisation and "Q/DQ
Layer-Placement Recommendations": pairs before weighted ops and on the residual input of sums; none
behind weighted ops; concatenations, pools and reshapes commute with them.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from converter import export
from converter.conversion import Judgement, judge
from converter.deliver.targets.onnx_ops import to_onnx
from converter.deliver.targets.onnx_writer import LARGEST_HALF
from converter.graph.reading import read
from converter.judge import accuracy, gate
from edge.capture.images import load_image
from edge.errors import ModelError
from edge.model import model_file, proof
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
    from converter.judge.bill import Bill
    from converter.judge.gate import Budget, Verdict
    from edge.model.model_file import ModelFile
    from edge.model.readers.manifest import Manifest

INT8_RECIPE, HALF_RECIPE = "int8_qdq_symmetric", "float16"
CALIBRATOR = "percentile"
MAX_FLOAT_ERROR = 1e-3  # of a head's range, float ONNX against float .tflite
VERIFIED_IMAGES = 8


@dataclass(frozen=True, slots=True)
class Draft:
    """An ONNX model that was not judged yet: the `ModelProto`, and what its manifest will be.

    Attributes:
        fault: Why it is refused whatever it gives here; empty for none.
    """

    model: Any
    manifest: Manifest
    anchors: NDArray[np.float32] | None
    fault: str = ""

    def sealed(self, **changes: Any) -> bytes:  # noqa: ANN401 - of any field
        """Return the file's bytes, with these changes to the manifest."""
        return with_manifest(self.model, self.manifest.replace(**changes), self.anchors)


@dataclass(frozen=True, slots=True)
class Judged:
    """A finished file, and what the gate says of it against the float model."""

    data: bytes
    bill: Bill
    verdict: Verdict

    def text(self) -> str:
        """Return the verdict, and how near the heads are."""
        heads = "; ".join(
            f"{row.role} cosine {row.cosine:.5f}, SNR {row.snr_db:.1f} dB"
            for row in self.bill.heads
        )
        return f"{self.verdict}; {heads}"


def draft_int8(file: ModelFile, ranges: dict[str, Range], images: ImageSet) -> Draft:
    """Return a float model with rounding to int8.

    Args:
        file: The float model.
        ranges: Of its tensors, by `CALIBRATOR`.
        images: That they were observed on, for the manifest.

    Raises:
        ModelError: The model has an op without ONNX form.
        DependencyError: `onnx` is not installed.
    """
    model = to_onnx(read(file.flatbuffer, file.path), ranges, path=file.path)
    calibration = Calibration(
        digest=images.digest, images=len(images.paths), seed=images.seed, method=CALIBRATOR
    )
    manifest = _manifest(file, "rounding to int8 for TensorRT", recipe=INT8_RECIPE)
    provenance = manifest.provenance.replace(seed=images.seed)
    manifest = manifest.replace(provenance=provenance, calibration=calibration)
    return Draft(model, manifest, file.description.anchors)


def draft_float16(file: ModelFile, ranges: dict[str, Range]) -> Draft:
    """Return a float model in float16; takes and raises what `draft_int8` does.

    Values beyond float16 are looked for in the ranges: onnxruntime's CPU computes in float32.
    """
    peaks = {name: max(-found.min, found.max) for name, found in ranges.items()}
    name = max(peaks, key=peaks.__getitem__, default="")
    fault = ""
    if peaks and peaks[name] > LARGEST_HALF:
        fault = f"{name!r} reaches {peaks[name]:.3g}, and float16 ends at {LARGEST_HALF:.0f}"
    model = to_onnx(read(file.flatbuffer, file.path), path=file.path, half=True)
    manifest = _manifest(file, "float16", recipe=HALF_RECIPE)
    return Draft(model, manifest, file.description.anchors, fault)


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


def _manifest(file: ModelFile, what: str, *, recipe: str) -> Manifest:
    before = file.own_manifest()
    provenance = export.one_step_on(
        before.provenance,
        f"written as ONNX with {what}",
        tools=versions((*export.QUANTIZE_TOOLS, "onnx")),
        recipe=recipe,
    )
    return before.replace(provenance=provenance, accuracy=(), proof={})


def check_plain(file: ModelFile, paths: Sequence[Path]) -> float:
    """Run the graph in float32 beside the float model; return the worst error, of a head's range.

    Raises:
        ModelError: It computes something else.
        DependencyError: `onnxruntime` is not installed.
    """
    model = to_onnx(read(file.flatbuffer, file.path), path=file.path)
    plain = model_file.parse(
        file.path, with_manifest(model, file.own_manifest(), file.description.anchors)
    )
    wanted, found = (_heads(each, paths[:VERIFIED_IMAGES]) for each in (file, plain))
    errors = [
        np.abs(wanted[role] - found[role]).max() / (np.ptp(wanted[role]) or 1) for role in wanted
    ]
    error = float(np.max(errors))
    if not error <= MAX_FLOAT_ERROR:  # NaN is none
        raise ModelError(
            f"{file.path}: expected the ONNX graph to compute the float model within "
            f"{MAX_FLOAT_ERROR:g} of each head's range, found {error:.2g}; do not use it"
        )
    return error


def _heads(file: ModelFile, paths: Sequence[Path]) -> dict[str, NDArray[np.float32]]:
    """Return the heads of all images, by role, the first axis the image."""
    model = load_model(file)
    buffer, rows = InputBuffer(model.spec), []
    for path in paths:
        buffer.fill(load_image(path))
        rows.append(model.output_buffers())
        model.invoke(buffer, out=rows[-1])
    return {role: np.stack([row[role] for row in rows]) for role in rows[0]}


def judged(
    file: ModelFile, drafts: Sequence[Draft], judgement: Judgement, *, budget: Budget
) -> list[Judged]:
    """Judge files against the float model by the gate of every model, and seal them.

    On onnxruntime's CPU: what a GPU makes of them is for the proof at start to compare. One that
    gives NaN, as where values outgrow float16, is refused.
    """
    files = [model_file.parse(file.path, draft.sealed()) for draft in drafts]
    bills = judge(file, files, judgement, budget=budget)
    found = []
    for draft, made, bill in zip(drafts, files, bills, strict=True):
        verdict, changes = gate.judge(bill, budget), {}
        try:
            changes["proof"] = proof.take(load_model(made))
        except ModelError as error:
            verdict = gate.Verdict(gate.REFUSED, (str(error),))
        if draft.fault:
            verdict = gate.Verdict(gate.REFUSED, (draft.fault,))
        data = draft.sealed(accuracy=accuracy.for_manifest(bill.accuracy), **changes)
        found.append(Judged(data, bill, verdict))
    return found
