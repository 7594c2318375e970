"""Make and write the files for other accelerators beside a model, and say what became of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from converter import export
from converter.deliver.targets import edgetpu_check
from converter.deliver.targets.edgetpu_compiler import HOW_TO_GET, compile_model, find_compiler
from converter.deliver.targets.gpu import make_float16
from converter.deliver.targets.onnx_writer import onnx_module
from converter.deliver.targets.tensorrt import (
    CALIBRATOR,
    VERIFIED_IMAGES,
    make_qdq,
    onnxruntime_module,
    verify_qdq,
)
from converter.quantize.observations import Observations
from edge.errors import ConfigError
from edge.terminal.progress import bar, waiting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from calibration.dataset import ImageSet
    from edge.model.model_file import ModelFile

SUFFIXES = EDGE_TPU_SUFFIX, GPU_SUFFIX, TENSORRT_SUFFIX = (
    ".edgetpu.tflite", ".gpu.tflite", ".qdq.onnx",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Targets:
    """Which files are wanted."""

    edge_tpu: bool
    gpu: bool
    tensorrt: bool

    def __bool__(self) -> bool:
        return self.edge_tpu or self.gpu or self.tensorrt


@dataclass(frozen=True, slots=True)
class Made:
    """What became of one target.

    Attributes:
        path: Of the file; `None` where none was made.
        text: What there is to say of it, lines for a terminal.
    """

    path: Path | None
    text: str


@dataclass(frozen=True, slots=True)
class Sources:
    """What the files are made of.

    Attributes:
        reference: The float model; `None` where only the quantised one is there.
        quantized: The int8 model; `None` likewise.
        images: To observe ranges on; `None` where none were given.
        held_back: To verify the ONNX file on.
    """

    reference: ModelFile | None
    quantized: ModelFile | None
    images: ImageSet | None
    held_back: tuple[Path, ...] = ()


def sources_of(file: ModelFile, images: ImageSet | None) -> Sources:
    """Return what a single model file can serve for: it is float or quantised."""
    if file.own_manifest().calibration is not None:
        return Sources(None, file, images)
    return Sources(file, None, images, () if images is None else images.paths)


def check_sources(sources: Sources, targets: Targets) -> None:
    """Refuse targets that cannot be made of these sources.

    Raises:
        ConfigError: They cannot.
        DependencyError: A package is missing for them.
    """
    if targets.edge_tpu and sources.quantized is None:
        raise ConfigError(
            "--edgetpu needs the int8 model, found a float one; quantise it first: "
            "edge-convert quantize MODEL --images DIR --recipe int8_tflite_converter -o FILE"
        )
    for name, wanted in (("--gpu", targets.gpu), ("--tensorrt", targets.tensorrt)):
        if wanted and sources.reference is None:
            raise ConfigError(
                f"{name} needs the float model, found a quantised one; give the file that "
                "edge-convert run keeps with --float"
            )
    if targets.tensorrt:
        onnx_module()
        onnxruntime_module()
    if targets.tensorrt and sources.images is None:
        raise ConfigError("--tensorrt needs images to observe ranges on; add --images DIR")


def deliver(sources: Sources, targets: Targets, *, stem: Path) -> Iterator[Made]:
    """Make each wanted file, written as the stem with the target's suffix.

    Raises:
        ConfigError: Something is missing for it.
        ModelError: The model does not suit the target.
        DependencyError: A package is missing for it.
        SinkError: A file cannot be written.
    """
    check_sources(sources, targets)
    if targets.edge_tpu and sources.quantized:
        yield _edge_tpu(sources.quantized, stem)
    if targets.gpu and sources.reference:
        yield _gpu(sources.reference, stem)
    if targets.tensorrt and sources.reference and sources.images:
        yield _tensorrt(sources, sources.reference, sources.images, stem=stem)


def _edge_tpu(file: ModelFile, stem: Path) -> Made:
    text = edgetpu_check.as_text(edgetpu_check.check(file))
    compiler = find_compiler()
    if compiler is None:
        return Made(None, f"{text}\n{HOW_TO_GET}")
    with waiting("compile"):
        done = compile_model(file, compiler)
    path = _path(stem, EDGE_TPU_SUFFIX)
    export.write(done.file, path)
    return Made(path, f"{text}\n{path}: {done.describe()}")


def _gpu(file: ModelFile, stem: Path) -> Made:
    path = _path(stem, GPU_SUFFIX)
    export.write(make_float16(file), path)
    return Made(path, f"{path}: float16 weights, static shapes, for a GPU delegate")


def _tensorrt(sources: Sources, file: ModelFile, images: ImageSet, *, stem: Path) -> Made:
    with bar("observe") as progress:
        observed = Observations(file, images, progress=progress)
        ranges = observed.ranges(CALIBRATOR, equalised=False)
    data = make_qdq(file, ranges, images)
    with waiting("verify"):
        bill = verify_qdq(file, data, sources.held_back[:VERIFIED_IMAGES])
    path = _path(stem, TENSORRT_SUFFIX)
    export.write_bytes(data, path)
    return Made(path, f"{path}: symmetric int8 for TensorRT; {bill.describe()}")


def _path(stem: Path, suffix: str) -> Path:
    return stem.with_name(f"{stem.name}{suffix}")


def stem_of(model: Path) -> Path:
    """Return a model's path without its suffix: `my` of `my.tflite`."""
    return model.with_name(model.name.removesuffix(".tflite"))
