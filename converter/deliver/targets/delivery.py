"""Make and write the files for other accelerators beside a model, and say what became of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from converter import export
from converter.deliver.targets import edgetpu_check, tensorrt
from converter.deliver.targets.edgetpu_compiler import HOW_TO_GET, compile_model, find_compiler
from converter.deliver.targets.onnx_writer import package
from converter.graph.reading import read
from converter.judge.gate import Budget
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
    from converter.conversion import Images, Judgement
    from edge.model.model_file import ModelFile

# Target, as its option is called, to the suffixes of its files.
SUFFIXES = {
    "edgetpu": (".edgetpu.tflite",),
    "gpu": (".gpu.tflite",),
    "tensorrt": (".qdq.onnx", ".fp16.onnx"),
}
REJECTED = ".rejected"


@dataclass(frozen=True, slots=True)
class Made:
    """What became of one target.

    Attributes:
        path: Of the file; `None` where none was made.
        text: What there is to say of it, lines for a terminal.
        is_refused: The gate refused it, and it lies under a name of its own.
    """

    path: Path | None
    text: str
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class Sources:
    """What the files are made of.

    Attributes:
        reference: The float model; `None` where only the quantised one is there.
        quantized: The int8 model; `None` likewise.
        images: To observe ranges on; `None` where none were given.
        judgement: What a verdict on ONNX files rests on: other images.
        budget: Of that verdict.
    """

    reference: ModelFile | None
    quantized: ModelFile | None
    images: ImageSet | None
    judgement: Judgement | None = None
    budget: Budget = field(default_factory=Budget)


def sources_of(file: ModelFile, images: Images | None) -> Sources:
    """Return what a single model file can serve for: it is float or quantised."""
    is_quantized = file.own_manifest().calibration is not None
    reference, quantized = (None, file) if is_quantized else (file, None)
    if images is None:
        return Sources(reference, quantized, None)
    return Sources(reference, quantized, images.sets.calibrate, images.judgement)


def check_packages(targets: Collection[str]) -> None:
    """Refuse targets that lack a package, before the minutes of work.

    Raises:
        DependencyError: They do.
    """
    for name in ("onnx", "onnxruntime") if "tensorrt" in targets else ():
        package(name)


def check(sources: Sources, targets: Collection[str], *, has_images: bool) -> None:
    """Refuse targets that cannot be made of a model, before any image is read.

    Raises:
        ConfigError: Something is missing for one of them.
        ModelError: The model is quantised already.
        DependencyError: A package is missing for it.
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
    if "tensorrt" in targets and not has_images:
        raise ConfigError("--tensorrt needs images to observe ranges on; add --images DIR")


def deliver(sources: Sources, targets: Collection[str], *, stem: Path) -> Iterator[Made]:
    """Make each wanted file, written as the stem with the target's suffix; raises as `check`.

    Raises:
        ModelError: The model does not suit the target.
        SinkError: A file cannot be written.
    """
    check(sources, targets, has_images=None not in (sources.images, sources.judgement))
    places = {name: stem.with_name(f"{stem.name}{row[0]}") for name, row in SUFFIXES.items()}
    if "edgetpu" in targets and sources.quantized:
        yield _edge_tpu(sources.quantized, places["edgetpu"])
    if "gpu" in targets and sources.reference:
        export.write(make_float16(sources.reference), places["gpu"])
        text = f"{places['gpu']}: float16 weights, static shapes, for a GPU delegate"
        yield Made(places["gpu"], text)
    if "tensorrt" in targets:
        yield from _onnx(sources, stem)


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


def _onnx(sources: Sources, stem: Path) -> Iterator[Made]:
    """Make the files for TensorRT and CUDA, each through the gate; a refused one is put aside."""
    file, images, judgement = sources.reference, sources.images, sources.judgement
    if file is None or images is None or judgement is None:
        return
    with bar("observe") as progress:
        observed = Observations(file, images, progress=progress)
        ranges = observed.ranges(tensorrt.CALIBRATOR, equalised=False)
    drafts = [tensorrt.draft_int8(file, ranges, images), tensorrt.draft_float16(file, ranges)]
    with waiting("verify"):
        error = tensorrt.check_plain(file, judgement.images)
    made = tensorrt.judged(file, drafts, judgement, budget=sources.budget)
    whats = ("symmetric int8 for TensorRT", "float16 for CUDA and TensorRT")
    for suffix, what, one in zip(SUFFIXES["tensorrt"], whats, made, strict=True):
        aside = REJECTED if one.verdict.is_refused else ""
        path = stem.with_name(f"{stem.name}{suffix}{aside}")
        export.write_bytes(one.data, path)
        text = f"{path}: {what}; {one.text()}; as float32 within {error:.1e} of the range"
        yield Made(path, text, is_refused=one.verdict.is_refused)


def stem_of(model: Path) -> Path:
    """Return a model's path without its suffix: `my` of `my.tflite`."""
    return model.with_name(model.name.removesuffix(".tflite"))
