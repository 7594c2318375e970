"""What a model file says of itself, as a tree for machines and a table for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.heads import HEADS
from edge.model import model_file
from edge.model.backend import compiled_for
from edge.model.default import default_model_path
from edge.model.delegates import CPU, DELEGATES
from edge.model.loaded import load_model, read_spec
from edge.tasks import task_for
from edge.terminal import table

if TYPE_CHECKING:
    from pathlib import Path

    from edge.model.description import InputTransform
    from edge.model.model_file import ModelFile
    from edge.model.readers.manifest import Accuracy, Manifest
    from edge.model.spec import ModelSpec, TensorSpec

MIB = 2**20
LABEL_WIDTH = 12


@dataclass(frozen=True, slots=True)
class Inspection:
    """A model that fits its description.

    Attributes:
        file: The model.
        spec: Its contract.
        delegate: The least that can run it.
    """

    file: ModelFile
    spec: ModelSpec
    delegate: str = CPU

    def facts(self) -> dict[str, Any]:
        """Return everything that is known, ready for JSON."""
        described, manifest = self.spec.description, self.file.manifest
        keys = ("name", "digest", "outputs", "score_threshold", "iou_threshold")
        own = {key: getattr(described, key) for key in keys} | {
            "input": described.input.plain(),
            "head": described.head.plain(),
            "labels": list(described.labels),
        }
        return {
            "file": str(self.file.path),
            "read_by": self.file.read_by,
            "why": self.file.why,
            "delegate": self.delegate,
            "size_mib": self._size_mib(),
            "tensors": [_facts(role, tensor) for role, tensor in self._tensors()],
            "anchors": 0 if described.anchors is None else len(described.anchors),
            **(manifest.plain() if manifest else own),
        }

    def text(self) -> str:
        """Return the same for a terminal."""
        described = self.spec.description
        labels = [label for label in described.labels if label]
        headers = ["role", "tensor", "shape", "dtype", "scale", "zero point"]
        rows = [list(_facts(role, tensor).values()) for role, tensor in self._tensors()]
        manifest = self.file.manifest
        lines = [
            ("frame", _input_text(described.input)),
            *HEADS[described.head.kind].describe(self.spec),
            *_threshold_lines(self.spec),
            *([("labels", f"{len(labels)}: {', '.join(labels)}")] if labels else []),
            ("described", f"by {self.file.origin}"),
            *(_manifest_lines(manifest) if manifest else []),
        ]
        return "\n".join(
            [
                f"{described.name}  ({self._size_mib()} MiB, {described.digest[:19]}…)",
                *([DELEGATES[self.delegate].choose] if self.delegate != CPU else []),
                table.render(headers, rows),
                *(f"{label:<{LABEL_WIDTH}}{text}" for label, text in lines),
            ]
        )

    def _tensors(self) -> list[tuple[str, TensorSpec]]:
        return [("input", self.spec.input), *self.spec.outputs.items()]

    def _size_mib(self) -> float:
        return round(len(self.file.flatbuffer) / MIB, 2)


def inspect(file: ModelFile) -> Inspection:
    """Load a model, unless that needs a delegate.

    Raises:
        ModelError: The runtime refuses the model, or the description does not fit it.
    """
    delegate = compiled_for(file)
    spec = load_model(file).spec if delegate == CPU else read_spec(file)
    return Inspection(file, spec, delegate)


def draft(path: Path | None, description: Path | None) -> str:
    """Return a TOML of what is known of a model, with a question where nothing tells.

    Raises:
        ModelError: The model cannot be read.
    """
    from edge.model.readers import draft as drafts  # noqa: PLC0415 - seldom asked for
    from edge.model.readers.inference import Undescribed  # noqa: PLC0415

    try:
        file = model_file.read(path or default_model_path(), description=description)
    except Undescribed as error:
        return error.draft
    return drafts.of(file.description)


def _facts(role: str, tensor: TensorSpec) -> dict[str, Any]:
    return {
        "role": role,
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": str(tensor.dtype),
        "scale": float(f"{tensor.quant.scale:.6g}"),
        "zero_point": tensor.quant.zero_point,
    }


def _input_text(transform: InputTransform) -> str:
    width, height = transform.size_wh
    mean = ", ".join(f"{value:g}" for value in transform.mean)
    std = ", ".join(f"{value:g}" for value in transform.std)
    return (
        f"{transform.resize} to {width} x {height}, {transform.color}, (pixel - ({mean})) / ({std})"
    )


def _threshold_lines(spec: ModelSpec) -> list[tuple[str, str]]:
    """Return the thresholds that the model's task has, and its head asks."""
    described = spec.description
    values = {
        "score_threshold": f"score {described.score_threshold}",
        "iou_threshold": f"IoU {described.iou_threshold}",
    }
    known = task_for(described).thresholds(described)
    if described.head.is_suppressed:
        known = known - {"iou_threshold"}
    text = ", ".join(value for key, value in values.items() if key in known)
    return [("thresholds", text)] if text else []


def _manifest_lines(manifest: Manifest) -> list[tuple[str, str]]:
    origin, calibration = manifest.provenance, manifest.calibration
    lines = [("accuracy", _accuracy_text(row)) for row in manifest.accuracy]
    lines += [
        ("source", origin.source),
        ("licence", origin.license),
        ("changes", origin.changes),
        ("recipe", f"{origin.recipe}, seed {origin.seed}"),
    ]
    if calibration:
        text = f"{calibration.method} over {calibration.images} images, {calibration.digest[:19]}…"
        lines.append(("calibrated", text))
    tools = ", ".join(f"{name} {version}" for name, version in sorted(origin.tools.items()))
    return [*lines, ("made with", tools)]


def _accuracy_text(row: Accuracy) -> str:
    low, high = row.difference_interval
    return (
        f"{row.metric} float {row.float_value:.4f}, quantized {row.quantized_value:.4f}, "
        f"difference {row.difference:+.4f} (95 % interval {low:+.4f} to {high:+.4f}), "
        f"{row.images} images of {row.dataset}"
    )
