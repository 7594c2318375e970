"""Make and write the files for other accelerators beside a model, and say what became of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from converter import export
from converter.deliver.targets import edgetpu_check
from converter.deliver.targets.edgetpu_compiler import HOW_TO_GET, compile_model, find_compiler
from converter.deliver.targets.onnx_writer import package
from converter.deliver.targets.tensorrt import CALIBRATOR, make_qdq, verify_qdq
from converter.graph.reading import read
from converter.quantize.observations import Observations
from converter.quantize.quantization import refuse_quantized
from converter.quantize.quantize import TOOLS, quantize
from converter.quantize.recipe import load_recipe
from edge.errors import ConfigError, ModelError
from edge.terminal.progress import bar, waiting
from edge.terminal.version import versions

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from calibration.dataset import ImageSet
    from edge.model.model_file import ModelFile

# Target, as its option is called, to the suffix of its file.
SUFFIXES = {"edgetpu": ".edgetpu.tflite", "gpu": ".gpu.tflite", "tensorrt": ".qdq.onnx"}


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


def check_packages(targets: Collection[str]) -> None:
    """Refuse targets that lack a package, before the minutes of work.

    Raises:
        DependencyError: They do.
    """
    for name in ("onnx", "onnxruntime") if "tensorrt" in targets else ():
        package(name)


def deliver(sources: Sources, targets: Collection[str], *, stem: Path) -> Iterator[Made]:
    """Make each wanted file, written as the stem with the target's suffix.

    Raises:
        ConfigError: Something is missing for one of them; none is made.
        ModelError: The model is quantised already, or does not suit the target.
        DependencyError: A package is missing for it.
        SinkError: A file cannot be written.
    """
    if "edgetpu" in targets and sources.quantized is None:
        raise ConfigError(
            "--edgetpu needs the int8 model, found a float one; quantise it first: "
            "edge-convert quantize MODEL --images DIR --recipe int8_tflite_converter -o FILE"
        )
    for name in targets:
        if name != "edgetpu" and sources.reference is None:
            raise ConfigError(
                f"--{name} needs the float model, found a quantised one; give the file that "
                "edge-convert run keeps with --float"
            )
        if name != "edgetpu" and sources.reference:
            refuse_quantized(sources.reference)
    check_packages(targets)
    if "tensorrt" in targets and sources.images is None:
        raise ConfigError("--tensorrt needs images to observe ranges on; add --images DIR")
    places = {name: stem.with_name(f"{stem.name}{suffix}") for name, suffix in SUFFIXES.items()}
    if "edgetpu" in targets and sources.quantized:
        yield _edge_tpu(sources.quantized, places["edgetpu"])
    if "gpu" in targets and sources.reference:
        export.write(make_float16(sources.reference), places["gpu"])
        text = f"{places['gpu']}: float16 weights, static shapes, for a GPU delegate"
        yield Made(places["gpu"], text)
    if "tensorrt" in targets and sources.reference and sources.images:
        data, said = _qdq(sources.reference, sources.images, sources.held_back)
        export.write_bytes(data, places["tensorrt"])
        yield Made(places["tensorrt"], f"{places['tensorrt']}: {said}")


def _edge_tpu(file: ModelFile, path: Path) -> Made:
    text = edgetpu_check.as_text(edgetpu_check.check(file))
    compiler = find_compiler()
    if compiler is None:
        return Made(None, f"{text}\n{HOW_TO_GET}")
    with waiting("compile"):
        done = compile_model(file, compiler)
    export.write(done.file, path)
    return Made(path, f"{text}\n{path}: {done.describe()}")


def make_float16(file: ModelFile) -> ModelFile:
    """Return the file of a float model for a GPU delegate.

    Raises:
        ModelError: The model has a custom op, or a shape that is only known when it runs.
    """
    graph = read(file.flatbuffer, file.path)
    for op in graph.ops:
        if op.custom is not None:
            raise ModelError(
                f"{file.path}: op {op.kind!r} is a custom one, which a GPU delegate does not "
                "have; export the model with builtin ops"
            )
    for tensor in graph.tensors.values():
        if tensor.open_axes:
            raise ModelError(
                f"{file.path}: the shape of {tensor.name!r} is only known when the model runs; "
                "export it with a fixed batch and image size"
            )
    recipe = load_recipe("float16")
    made = quantize(graph, {}, recipe, path=file.path)
    tools = versions((*export.QUANTIZE_TOOLS, *TOOLS[made.quantizer]))
    step = made.describe(recipe)
    return export.remade(file, made.flatbuffer, step, tools=tools, recipe=recipe.name)


def _qdq(file: ModelFile, images: ImageSet, held_back: tuple[Path, ...]) -> tuple[bytes, str]:
    with bar("observe") as progress:
        observed = Observations(file, images, progress=progress)
        ranges = observed.ranges(CALIBRATOR, equalised=False)
    data = make_qdq(file, ranges, images)
    with waiting("verify"):
        said = verify_qdq(file, data, held_back)
    return data, f"symmetric int8 for TensorRT; {said}"


def stem_of(model: Path) -> Path:
    """Return a model's path without its suffix: `my` of `my.tflite`."""
    return model.with_name(model.name.removesuffix(".tflite"))
