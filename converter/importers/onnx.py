"""Import an ONNX detector or segmenter: YOLOv5 to v11, YOLOX, U-Net-like maps.

The maintained converters pin every package that they share with TensorFlow and litert-quantizer
(onnx2tf 2.6: NumPy, protobuf, ai-edge-litert to the patch), so none can stand beside them. The
operations of these nets are few; each import is compared with onnxruntime in the tests.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from converter.draft import Draft
from converter.importers import onnx_file
from converter.importers.onnx_heads import find_segmentation, find_yolo
from converter.importers.onnx_ops import translate
from converter.lowering import lower
from edge.errors import ConfigError, ModelError
from edge.manifest import InputTransform

if TYPE_CHECKING:
    from pathlib import Path

    from converter.importers.onnx_file import OnnxModel

FEED = "image"
FINDERS = {"yolo": find_yolo, "unet": find_segmentation}
# Ultralytics and the YOLOv5 repository write both, and train on RGB over 255, letterboxed with 114.
ULTRALYTICS_KEYS = {"stride", "names"}


def import_onnx(path: Path, *, family: str) -> Draft:
    """Return the float model of an ONNX file, cut at its raw heads.

    Args:
        path: The file.
        family: `yolo` or `unet`.

    Raises:
        ConfigError: No importer for that family.
        ModelError: The file is damaged, foreign, or not of that family.
        DependencyError: The package onnx or TensorFlow is not installed.
    """
    if family not in FINDERS:
        raise ConfigError(
            f"expected --family {' or '.join(FINDERS)} for an ONNX file, found {family!r}"
        )
    model = onnx_file.read(path)
    found = FINDERS[family](model, path)
    try:
        graph, made = translate(model, tuple(found.fetches.values()), feed=FEED)
    except (KeyError, ValueError, TypeError, IndexError, ZeroDivisionError) as error:
        if isinstance(error, ModelError):
            raise ModelError(f"{path}: {error}") from error
        raise ModelError(
            f"{path}: expected a graph whose nodes fit each other, found one that does not "
            f"({type(error).__name__}: {error}); export the model again"
        ) from error
    _, _, height, width = model.shapes[model.input]
    lowered = lower(
        graph,
        feed=FEED,
        fetches={role: made[value] for role, value in found.fetches.items()},
        shape=(1, height, width, 3),
    )
    return Draft(
        flatbuffer=lowered.flatbuffer,
        size_wh=(width, height),
        head=found.head,
        outputs={role: role for role in found.fetches},
        transform=_transform(model, (width, height)) if family == "yolo" else None,
        labels=_labels(model),
        changes="cut at the raw heads; decode and suppression left to the runtime",
    )


def _transform(model: OnnxModel, size_wh: tuple[int, int]) -> InputTransform | None:
    if not model.metadata.keys() >= ULTRALYTICS_KEYS:
        return None
    return InputTransform(
        size_wh=size_wh, color="rgb", mean=(0, 0, 0), std=(255, 255, 255), resize="letterbox"
    )


def _labels(model: OnnxModel) -> tuple[str, ...] | None:
    """Return the labels of Ultralytics' metadata, a Python dict of numbers and names."""
    try:
        names = ast.literal_eval(model.metadata.get("names", ""))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if not isinstance(names, dict) or sorted(names) != list(range(len(names))):
        return None
    return tuple(str(names[number]) for number in range(len(names)))
