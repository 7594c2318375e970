"""Ranges in a JSON file, with everything that says where they came from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar, Literal

from calibration.ranges import Range
from edge.errors import ModelError, SinkError
from edge.model.description import InputTransform
from edge.record import Checks, PositiveInt, Record, Unsound, read_json

if TYPE_CHECKING:
    from pathlib import Path


def _check_ranges(ranges: dict[str, tuple[float, float]]) -> None:
    for low, high in ranges.values():
        Range(low, high)


class RangesFile(Record, frozen=True, kw_only=True):
    """The ranges of one model's tensors, and their origin.

    Attributes:
        model_digest: `sha256:` of the bare FlatBuffer that was run.
        images_digest: Of the calibration set, see `calibration.dataset.ImageSet`.
        images: How many it has.
        seed: Of its draw.
        calibrator: A key of `calibration.calibrators.CALIBRATORS`.
        transform: What the model's input saw of an image.
        tools: Package to version.
        ranges: Tensor name to (min, max).
    """

    checks: ClassVar[Checks] = {"ranges": _check_ranges}

    schema_version: Literal[1] = 1
    model_digest: str
    images_digest: str
    images: PositiveInt
    seed: int
    calibrator: str
    transform: InputTransform
    tools: dict[str, str]
    ranges: dict[str, tuple[float, float]]

    def by_tensor(self) -> dict[str, Range]:
        """Return the ranges as `observe` gave them."""
        return {name: Range(low, high) for name, (low, high) in self.ranges.items()}


def write(path: Path, content: RangesFile) -> None:
    """Write the file; the same content gives the same bytes.

    Raises:
        SinkError: It cannot be written.
    """
    fields = content.plain()
    fields["ranges"] = dict(sorted(fields["ranges"].items()))
    write_json(path, fields)


def write_json(path: Path, fields: object) -> None:
    """Write indented JSON.

    Raises:
        SinkError: The file cannot be written.
    """
    text = json.dumps(fields, indent=1, ensure_ascii=False) + "\n"
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SinkError(
            f"{path}: cannot be written: {error.strerror}; give another path with -o"
        ) from error


def read(path: Path) -> RangesFile:
    """Read and verify a file of `write`.

    Raises:
        ModelError: It is missing, no such file, or one of another version.
    """
    try:
        return read_json(RangesFile, path.read_bytes())
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read: {error.strerror}; make it with: edge-calibrate observe"
        ) from error
    except Unsound as error:
        raise ModelError(
            f"{path}: expected the ranges of edge-calibrate observe, but {error.faults[0]}; "
            "make it again with: edge-calibrate observe"
        ) from error
