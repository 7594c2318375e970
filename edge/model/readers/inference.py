"""A description out of the file's own tensors, where exactly one reading of them fits.

What goes in: the size and the layout are the tensor's; the channel order and the normalisation are
what metadata or the kind of head says, or of an integer input what its quantisation spans. What
comes out is what `edge.model.readers.readings` recognises. Of anything else this asks.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from edge.errors import ModelError
from edge.model import onnx_file
from edge.model.declared import Declared, Terminal, Told, Triple, class_labels
from edge.model.description import Description, InputTransform
from edge.model.flatbuffer import DamagedError
from edge.model.readers import exporter, graph, metadata
from edge.model.readers.draft import Findings, draft
from edge.model.readers.manifest import digest_of
from edge.model.readers.readings import READINGS
from edge.preprocess import pixel_table
from edge.record import Unsound, storable
from edge.record import read as read_record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge.model.declared import Reading
    from edge.model.spec import TensorSpec

# What an image of 0..255 spans in an integer input, and the normalisation that does it: no two are
# alike within the tolerance. Those of ImageNet's means depend on the channel order: not here.
# Sources: TensorFlow's model zoo, PyTorch's image models.
SPANS = {
    "-1 to 1": (-1.0, 1.0, 127.5, 127.5),
    "0 to 1": (0.0, 1.0, 0.0, 255.0),
    "0 to 255": (0.0, 255.0, 0.0, 1.0),
    "-0.5 to 0.5": (-0.5, 0.5, 127.5, 255.0),
}
SPAN_TOLERANCE = 0.02
STD_DIGITS = 4  # a scale is float32: 127.49999 is meant as 127.5
LEAST_LEVELS = 192  # of 256 that pixels must keep in an integer input
# Scopes by which TensorFlow's own zoo (slim, Object Detection API, DeepLab) names its tensors; all
# of it was trained on R G B.
RGB_NAMES = re.compile(
    r"^(normalized_input_image_tensor|(Mobilenet|Inception|Mnas|Nasnet)\w*/|"
    r"FeatureExtractor/|BoxPredictor)"
)
FOURTH_BAND = 4
MAX_CLASSES = 2**16  # that are numbered; ImageNet has 21,843
ASKED = {
    "model.labels": "a text for each class id, or the name of a file with one a line",
    "input.color": '"rgb" (TensorFlow, PyTorch as a rule) or "bgr" (OpenCV, Caffe, YOLOX)',
    "input.mean": "[127.5, 127.5, 127.5] for pixels as -1 to 1, [0, 0, 0] for 0 to 1 or 0 to 255",
    "input.std": "[127.5, 127.5, 127.5] for -1 to 1, [255, 255, 255] for 0 to 1, [1, 1, 1]",
    "input.size_wh": "[width, height] that the model was trained on",
    "head.kind": "what the outputs mean: docs/description.md lists the heads",
}


class Undescribed(ModelError):  # noqa: N818 - what the file is
    """Nothing says all that must be known of a model.

    Attributes:
        draft: A TOML with what is known and, for the rest, what to choose among.
    """

    def __init__(self, sentence: str, draft: str) -> None:
        super().__init__(sentence)
        self.draft = draft


def from_tflite(path: Path, data: bytes) -> Declared:
    """Return what a whole `.tflite` declares and says of itself, `structure.check` passed.

    Raises:
        ModelError: Its metadata is damaged.
    """
    told = exporter.told(path, data) or metadata.told(path, data)
    try:
        return graph.declared(data, told or Told())
    except DamagedError as error:
        raise ModelError(f"{path}: {error}; copy it or convert it again") from error


def from_onnx(path: Path, model: bytes, entries: dict[str, str]) -> Declared:
    """Return the same of an ONNX model, without its metadata, and these.

    Raises:
        ModelError: They are damaged.
    """
    inputs, outputs = map(list, onnx_file.tensors(model, path))
    told = exporter.told_by(path, entries) or Told()
    return Declared(tuple(map(Terminal, inputs)), tuple(map(Terminal, outputs)), told, is_onnx=True)


def infer(path: Path, data: bytes, model: Declared) -> tuple[Description, str]:
    """Return who a model is, and what in the file says so.

    Args:
        path: Of the file, for messages and as a name.
        data: What the digest is of.
        model: What the file declares.

    Raises:
        Undescribed: More than one reading fits, or none.
        ModelError: No camera can fill its input.
    """
    told = model.told
    if model.image_shape is None:
        raise ModelError(f"{path}: {_no_image(model)}")
    found = Findings(told.name or storable(path.stem))
    reading = _choose(model, found)
    _find_input(model, reading, found)
    transform = _transform(path, model, found)
    found.labels = _labels(told, reading, found)
    if reading is None or transform is None or found.unknown:
        raise Undescribed(_question(path, found.unknown), draft(found, model, reading))
    described = Description(
        name=found.name,
        digest=digest_of(data),
        input=transform,
        outputs=reading.outputs,
        head=reading.head,
        labels=found.labels,
        anchors=reading.anchors,
    )
    return described, "; ".join([reading.why, *found.why])


def _question(path: Path, unknown: Mapping[str, str]) -> str:
    """Return what the file does not say, key by key, and what to type."""
    written = f"{path.stem}.toml"
    keys = ((*key.rpartition("."), choice) for key, choice in unknown.items())
    lines = (f"\n  [{table}] {key} = {choice}" for table, _, key, choice in keys)
    return (
        f"{path}: nothing in the file says what follows; type: edge inspect {path} --draft "
        f'{written}, choose in it, and add to the configuration: [model] description = "{written}"'
        + "".join(lines)
    )


def _ask(found: Findings, *keys: str) -> None:
    """Note that nothing tells these keys."""
    found.unknown |= {key: ASKED[key] for key in keys}


def _no_image(model: Declared) -> str:
    """Return why no camera can fill what goes in."""
    shapes = ", ".join(f"{one.name!r} {one.tensor.shape}" for one in model.inputs) or "none"
    has_band = any(FOURTH_BAND in (one.shape[1:2] + one.shape[-1:]) for one in model.inputs)
    advice = (
        "a fourth band (infrared, depth, alpha) needs a camera that gives it, and edge-vision "
        "reads grey and colour: convert the model for 3 channels"
        if has_band
        else "it is no model for one image"
    )
    return (
        "expected one input image of 1 or 3 channels, (1, H, W, C) or (1, C, H, W), found "
        f"{shapes}; {advice}"
    )


def _choose(model: Declared, found: Findings) -> Reading | None:
    """Return the one reading that fits, or the best one of which something is to be asked."""
    readings = [reading for recognise in READINGS.values() for reading in recognise(model)]
    sure = [reading for reading in readings if not reading.unknown]
    fitting = sure or readings
    if len(fitting) != 1:
        fits = "; ".join(f'"{one.head.kind}" if {one.why}' for one in fitting)
        found.unknown["head.kind"] = fits or ASKED["head.kind"]
    for reading in fitting[:1]:
        found.unknown = dict(reading.unknown) | found.unknown
        return reading
    return None


def _find_input(model: Declared, reading: Reading | None, found: Findings) -> None:
    told = model.told
    rows, columns, channels = model.image_shape or (0, 0, 0)
    size_wh = (columns, rows) if min(rows, columns) > 0 else told.size_wh
    color = "grey" if channels == 1 else told.color or (reading.color if reading else None)
    names = (terminal.name for terminal in (*model.inputs, *model.outputs))
    if color is None and (name := next(filter(RGB_NAMES.search, names), "")):
        color = "rgb"
        found.why.append(f"rgb, as TensorFlow's own models name a tensor {name}")
    for key, value in (("input.size_wh", size_wh), ("input.color", color)):
        if value is None:
            _ask(found, key)
    mean, std = told.mean, told.std
    if mean is None and reading:
        mean, std = reading.mean, reading.std
    mean, std = _normalisation(model.inputs[0].tensor, mean, std, found=found)
    resize = told.resize or (reading.resize if reading else "stretch")
    found.input = {"size_wh": size_wh, "color": color, "mean": mean, "std": std, "resize": resize}


def _transform(path: Path, model: Declared, found: Findings) -> InputTransform | None:
    """Return what is known of the input, once all of it is."""
    if None in found.input.values():
        return None
    try:
        transform = read_record(InputTransform, found.input)
    except Unsound as error:
        raise ModelError(
            f"{path}: {model.told.by or 'the file'} says of the input what cannot be true: {error};"
            " export it again, or describe it: [model] description"
        ) from error
    _expect_levels(model.inputs[0].tensor, transform, found)
    return transform


def _normalisation(
    tensor: TensorSpec, mean: Triple | None, std: Triple | None, *, found: Findings
) -> tuple[Triple | None, Triple | None]:
    """Return what is told, or what an input of 8 bits spans; asked for where that is nothing.

    Bytes go in as they are: so do the runtimes that uint8 files are made for, whatever the metadata
    says of the float model.
    """
    spanned = _span(tensor)
    if mean is None and spanned:
        name = spanned
        mean, std = (SPANS[name][2],) * 3, (SPANS[name][3],) * 3
        found.why.append(f"pixels as {name}, which the input's quantisation spans")
    if mean is not None and tensor.dtype == np.uint8:
        mean = (float(tensor.quant.zero_point),) * 3
        std = (round(1 / tensor.quant.scale, STD_DIGITS),) * 3
    if mean is None:
        _ask(found, "input.mean", "input.std")
    return mean, std


def _span(tensor: TensorSpec) -> str | None:
    """Return which of `SPANS` the quantisation of an input is made for, if it is one.

    An int8 input with real 0 at 0 may be symmetric, half of it never used: it says nothing.
    """
    dtype, quant = tensor.dtype, tensor.quant
    if dtype.kind not in "iu" or dtype.itemsize > 1 or (dtype.kind == "i" and not quant.zero_point):
        return None
    info = np.iinfo(dtype)
    ends = [(end - quant.zero_point) * quant.scale for end in (info.min, info.max)]
    for name, (low, high, _, _) in SPANS.items():
        errors = (abs(ends[0] - low), abs(ends[1] - high))
        if max(errors) <= SPAN_TOLERANCE * (high - low):
            return name
    return None


def _expect_levels(tensor: TensorSpec, transform: InputTransform, found: Findings) -> None:
    """Ask for the normalisation where the one that is told leaves an integer input few values."""
    if tensor.dtype.kind not in "iu":
        return
    table = pixel_table(transform, quant=tensor.quant, dtype=tensor.dtype)
    if min(len(np.unique(column)) for column in table.T) < LEAST_LEVELS:
        _ask(found, "input.mean", "input.std")


def _labels(told: Told, reading: Reading | None, found: Findings) -> tuple[str, ...]:
    """Return what is told, or numbers: a class that nobody named is `class 7`."""
    if reading is None:
        return told.labels
    labels, classes = told.labels or reading.labels, reading.classes
    if not labels and not 0 < (classes or 0) <= MAX_CLASSES:
        _ask(found, "model.labels")
        return ()
    if labels and classes is not None and len(labels) != classes:
        found.unknown["model.labels"] = f"{classes} labels, the file has {len(labels)}"
    return labels or class_labels(classes or 0)
