"""Import a float `.tflite` that others made: cut its decode or activation off, name its outputs."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
from flatbuffers import flexbuffers

from converter.draft import Draft
from converter.importers.raw_heads import (
    segmentation_head,
    ssd_anchors,
    ssd_head,
    ssd_roles,
    yolo_head,
)
from converter.importers.tflite_file import DAMAGED, POSTPROCESS, TfliteFile
from converter.importers.tflite_probe import probe
from edge.decode.ssd import SsdHead
from edge.errors import ConfigError, ModelError
from edge.record import read

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.choice import Choice
    from edge.model.description import HeadSchema

ACTIVATIONS = ("LOGISTIC", "SOFTMAX", "ARG_MAX")
MOVERS = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "CAST")
RESIZES = ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
BOX_SIDES = 4
MAX_LABEL_BYTES = 2**20


def import_tflite(path: Path, *, family: str, choice: Choice) -> Draft:
    """Return the draft of a float `.tflite` without a manifest of ours.

    Raises:
        ConfigError: It is of another family, or something is not said.
        ModelError: It is damaged or quantised, or its outputs are none of the family's.
    """
    draft = find_draft(path, family=family, choice=choice)
    probe(draft.flatbuffer, path)
    return draft


def find_draft(path: Path, *, family: str, choice: Choice) -> Draft:
    """Return what the file's tables say, before its runtime is trusted with it; as `import_tflite`.

    Raises:
        ConfigError: It is of another family, or something is not said.
        ModelError: It is damaged or quantised, or its outputs are none of the family's.
    """
    file = TfliteFile(path)
    try:
        return _draft(file, family=family, choice=choice)
    except DAMAGED as error:
        if isinstance(error, (ModelError, ConfigError)):
            raise
        raise ModelError(
            f"{path}: expected a whole TensorFlow Lite model, found one that is damaged; "
            "copy the file again"
        ) from error


def _draft(file: TfliteFile, *, family: str, choice: Choice) -> Draft:
    postprocess = [op for op in file.ops if file.kind(op) == POSTPROCESS]
    if postprocess and family != "ssd":
        raise ConfigError(
            f"{file.path}: expected a model of family {family}, found an SSD with "
            f"{POSTPROCESS}; type: --family ssd"
        )
    if postprocess:
        return _decoded_ssd(file, postprocess[0])
    read = {"unet": _segmentation, "yolo": _yolo, "ssd": _raw_ssd}[family]
    return read(file, choice)


def _segmentation(file: TfliteFile, choice: Choice) -> Draft:
    index = _raw_scores(file, _chosen(file, choice.output))
    head = segmentation_head(file.shape(index), file.path)
    return _described(file, {"classes": index}, head)


def _chosen(file: TfliteFile, name: str | None) -> int:
    named = {file.name(index): index for index in file.outputs}
    if name is None and len(named) == 1:
        return file.outputs[0]
    if name not in named:
        raise ConfigError(
            f"{file.path}: expected a segmenter with one output, found {', '.join(named)}; "
            "name the one to keep with --output-name"
        )
    return named[name]


def _raw_scores(file: TfliteFile, index: int) -> int:
    """Return the tensor that the output's last activation reads; behind it, nothing is kept."""
    tail = [index]
    while (op := file.producer(tail[-1])) is not None:
        if file.kind(op) not in (*ACTIVATIONS, *MOVERS, *RESIZES):
            break
        tail.append(int(op.inputs[0]))
    activated = [
        number
        for number, tensor in enumerate(tail[:-1])
        if file.kind(file.producer(tensor)) in ACTIVATIONS
    ]
    found = tail[activated[-1] + 1 if activated else 0]
    return _before_movers(file, found)


def _before_movers(file: TfliteFile, index: int) -> int:
    while (op := file.producer(index)) is not None and file.kind(op) in MOVERS:
        index = int(op.inputs[0])
    return index


def _yolo(file: TfliteFile, choice: Choice) -> Draft:
    raw = [_before_movers(file, index) for index in file.outputs]
    roles = {f"grid_{number}": index for number, index in enumerate(raw)}
    shapes = {role: file.shape(index) for role, index in roles.items()}
    return _described(file, roles, yolo_head(shapes, file.path, choice))


def _raw_ssd(file: TfliteFile, choice: Choice) -> Draft:
    shapes = {str(index): file.shape(index) for index in file.outputs}
    boxes, scores = map(int, ssd_roles(shapes, file.path))
    anchors = ssd_anchors(file.path, choice, count=file.shape(boxes)[1])
    raw, activation = _before_sigmoid(file, scores)
    head = ssd_head(file.path, choice, activation=activation)
    return _described(file, {"boxes": boxes, "scores": raw}, head, anchors=anchors)


def _before_sigmoid(file: TfliteFile, index: int) -> tuple[int, str]:
    op = file.producer(index)
    if op is not None and file.kind(op) == "LOGISTIC":
        return int(op.inputs[0]), "sigmoid"
    return index, "none"


def _decoded_ssd(file: TfliteFile, op: Any) -> Draft:  # noqa: ANN401
    """Cut before the op that decodes and suppresses: it holds anchors and box scales.

    Source: `detection_postprocess.cc` of TensorFlow Lite: inputs are boxes, scores and anchors,
    the latter centre-size (y, x, h, w); options `y_scale` to `w_scale` and `num_classes`.
    """
    boxes, scores, stored = (int(index) for index in op.inputs[:3])
    anchors = file.constant(stored)
    if anchors is None or anchors.ndim != 2 or anchors.shape[1] != BOX_SIDES:  # noqa: PLR2004
        raise ModelError(f"{file.path}: expected {POSTPROCESS} with float32 anchors, found none")
    options = flexbuffers.Loads(bytes(op.customOptions))
    raw, activation = _before_sigmoid(file, scores)
    sides = [float(options[f"{side}_scale"]) for side in "yxhw"]
    columns = file.shape(scores)[-1]
    head = read(
        SsdHead,
        {
            "box_scales": sides,
            "activation": activation,
            "background": columns == int(options["num_classes"]) + 1,
        },
    )
    return _described(
        file, {"boxes": boxes, "scores": raw}, head, anchors=anchors.astype(np.float32)
    )


def _described(
    file: TfliteFile,
    outputs: dict[str, int],
    head: HeadSchema,
    *,
    anchors: NDArray[np.float32] | None = None,
) -> Draft:
    whole = set(outputs.values()) == set(file.outputs)
    return Draft(
        flatbuffer=file.cut(outputs),
        size_wh=file.size_wh,
        head=head,
        outputs={role: role for role in outputs},
        anchors=anchors,
        labels=_labels(file.path),
        changes="outputs named"
        if whole
        else "cut at the raw outputs, the rest left to the runtime",
    )


def _labels(path: Path) -> tuple[str, ...] | None:
    """Return the labels of the text file that TensorFlow's metadata packs behind a model."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info for info in archive.infolist() if info.filename.endswith(".txt")]
            if len(names) != 1 or names[0].file_size > MAX_LABEL_BYTES:
                return None
            return tuple(archive.read(names[0]).decode().splitlines())
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError):
        # Without metadata it is no zip, which is what most models are.
        return None
