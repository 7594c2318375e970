"""The only place that knows LiteRT: load a verified model file, invoke it, copy its heads out."""

from __future__ import annotations

import contextlib
import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import DelegateError, DependencyError, ModelError
from edge.model import delegates
from edge.model.delegates import CPU, EDGE_TPU_OP, Delegate
from edge.model.quant import Quant
from edge.model.spec import ModelSpec, TensorSpec, join

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.model.manifest import ModelFile

Heads = dict[str, NDArray[Any]]

# First what a new board installs, then the package it succeeded (Python <= 3.11, numpy < 2).
RUNTIMES = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter")
NUMPY_2 = 2


def runtime_module() -> Any:  # noqa: ANN401
    """Import and return the interpreter module of whichever runtime is installed.

    Raises:
        DependencyError: None is, or tflite-runtime stands beside numpy 2, where it cannot work.
    """
    for name in RUNTIMES:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name.partition(".")[0]:
                raise
            continue
        if name.startswith("tflite_runtime") and int(np.__version__.split(".")[0]) >= NUMPY_2:
            raise DependencyError(
                f"tflite-runtime needs numpy < 2, found {np.__version__}; "
                "type: pip install 'numpy<2' 'opencv-python-headless<4.12'"
            )
        return module
    raise DependencyError("no LiteRT runtime is installed; type: pip install ai-edge-litert")


def runtime_name() -> str:
    """Return the package that invokes models here, such as `ai_edge_litert`."""
    return str(runtime_module().__name__.partition(".")[0])


def open_interpreter(flatbuffer: bytes, path: Path, *, threads: int, **options: Any) -> Any:  # noqa: ANN401
    """Return a bare runtime interpreter with its tensors allocated.

    Args:
        flatbuffer: The model; LiteRT borrows it, so the caller must keep it alive.
        path: For messages.
        threads: Of the XNNPACK delegate, >= 1.
        options: Passed on, such as `experimental_preserve_all_tensors`.

    Raises:
        ModelError: The runtime refuses the model.
        DelegateError: The model was compiled for an Edge TPU, and no delegate is among the options.
    """
    with _as_sentences(path, delegated=bool(options.get("experimental_delegates"))):
        interpreter = runtime_module().Interpreter(
            model_content=flatbuffer, num_threads=threads, **options
        )
        interpreter.allocate_tensors()
    return interpreter


@contextlib.contextmanager
def _as_sentences(path: Path, *, delegated: bool = False) -> Iterator[None]:
    try:
        yield
    except (ValueError, RuntimeError) as error:
        if EDGE_TPU_OP in str(error) and not delegated:
            raise DelegateError(
                f'{path}: compiled for an Edge TPU: set [model] delegate = "edgetpu" or add '
                "--delegate edgetpu, or take the .tflite that it was compiled from"
            ) from error
        raise ModelError(
            f"{path}: {runtime_name()} cannot load this model: {_reason(error)}; convert it again"
        ) from error


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "no reason given"


def load_delegate(delegate: Delegate) -> Any:  # noqa: ANN401
    """Return a delegate as the runtime has it, its device opened.

    Raises:
        DelegateError: The library is missing, or found no device that it can use.
    """
    delegates.check_library(delegate)
    try:
        return runtime_module().load_delegate(delegate.library, delegate.options)
    except ValueError as error:
        # LiteRT's own line is the first, the library's are behind it.
        raise delegates.refused(delegate, " ".join(str(error).split("\n")[1:]).strip()) from error


def needs_edge_tpu(file: ModelFile) -> bool:
    """Return whether a model was compiled for an Edge TPU.

    Raises:
        ModelError: The runtime refuses the model.
    """
    # Looking for the name takes 1 ms, and spares all other models the second interpreter.
    if EDGE_TPU_OP.encode() not in file.flatbuffer:
        return False
    ops = _unallocated(file)._get_ops_details()  # noqa: SLF001 - what LiteRT's own analyzer calls
    return any(op["op_name"] == EDGE_TPU_OP for op in ops)


def read_spec(file: ModelFile) -> ModelSpec:
    """Return a model's contract without loading it, which needs no delegate.

    Raises:
        ModelError: The runtime refuses the model, or the manifest does not fit it.
    """
    return _spec(file, _unallocated(file))


def check_delegate(file: ModelFile, delegate: Delegate) -> None:
    """Refuse a model that a delegate would leave to the CPU without a word.

    Raises:
        DelegateError: It would.
    """
    if delegate and not needs_edge_tpu(file):
        raise DelegateError(
            f'{file.path}: not compiled for an Edge TPU, so delegate "{delegate.name}" would leave '
            "all of it to the CPU; type: edge-convert export MODEL --edgetpu, and take the "
            'STEM.edgetpu.tflite that it makes, or set [model] delegate = "cpu"'
        )


def _unallocated(file: ModelFile) -> Any:  # noqa: ANN401
    with _as_sentences(file.path):
        return runtime_module().Interpreter(model_content=file.flatbuffer)


def _spec(file: ModelFile, runtime: Any) -> ModelSpec:  # noqa: ANN401
    return join(
        file,
        [tensor_spec(detail) for detail in runtime.get_input_details()],
        [tensor_spec(detail) for detail in runtime.get_output_details()],
    )


def tensor_spec(detail: dict[str, Any]) -> TensorSpec:
    """Return one row of `get_input_details` or `get_output_details` as a `TensorSpec`."""
    scale, zero_point = detail["quantization"]
    return TensorSpec(
        name=detail["name"],
        index=detail["index"],
        shape=tuple(int(side) for side in detail["shape"]),
        dtype=np.dtype(detail["dtype"]),
        quant=Quant(float(scale), int(zero_point)) if scale else Quant(),
    )


@dataclass(frozen=True, slots=True)
class Op:
    """One op of a model's main graph.

    Attributes:
        number: Its place in the graph.
        kind: LiteRT's name, such as `CONV_2D`.
        inputs: Numbers of the tensors that an earlier op or the caller fills, each once.
        outputs: Tensor numbers.
        output_name: Of its first output.
        output_shape: Of that.
    """

    number: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    output_name: str
    output_shape: tuple[int, ...]


def list_ops(file: ModelFile) -> tuple[Op, ...]:
    """Return the ops of a model in their order, as they are before a delegate takes them over.

    Raises:
        ModelError: The runtime refuses the model.
    """
    plain = runtime_module().OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    runtime = open_interpreter(
        file.flatbuffer, file.path, threads=1, experimental_op_resolver_type=plain
    )
    tensors = {detail["index"]: detail for detail in runtime.get_tensor_details()}
    filled = {detail["index"] for detail in runtime.get_input_details()}
    ops = []
    for detail in runtime._get_ops_details():  # noqa: SLF001 - what LiteRT's own analyzer calls
        outputs = tuple(int(index) for index in detail["outputs"])
        first = tensors[outputs[0]]
        ops.append(
            Op(
                number=int(detail["index"]),
                kind=str(detail["op_name"]),
                inputs=tuple(dict.fromkeys(int(i) for i in detail["inputs"] if i in filled)),
                outputs=outputs,
                output_name=first["name"],
                output_shape=tuple(int(side) for side in first["shape"]),
            )
        )
        filled.update(outputs)
    return tuple(ops)


class Interpreter:
    """A loaded model whose heads are addressed by role; one thread at a time may use it.

    Args:
        file: A verified model file.
        threads: Of the interpreter, >= 1.
        delegate: What runs the model, as `edge.model.delegates.parse` takes it.

    Attributes:
        spec: The model's contract.

    Raises:
        ConfigError: There is no delegate of that name.
        ModelError: The runtime refuses the model, or the manifest does not fit it.
        DelegateError: The delegate cannot be loaded, or the model is not made for it.
    """

    def __init__(self, file: ModelFile, *, threads: int = 1, delegate: str = CPU) -> None:
        self._delegate = delegates.parse(delegate)
        check_delegate(file, self._delegate)
        loaded = [load_delegate(self._delegate)] if self._delegate else None
        self._flatbuffer = file.flatbuffer
        self._runtime = open_interpreter(
            self._flatbuffer, file.path, threads=threads, experimental_delegates=loaded
        )
        self.spec: ModelSpec = _spec(file, self._runtime)

    def output_buffers(self) -> Heads:
        """Return new buffers for the raw heads, by role, owned by the caller."""
        return {role: np.empty(spec.shape, spec.dtype) for role, spec in self.spec.outputs.items()}

    def invoke(self, input_tensor: NDArray[Any], *, out: Heads) -> None:
        """Run the model on one input and copy its heads out; the GIL is free meanwhile.

        Args:
            input_tensor: Of the input's shape and dtype.
            out: From `output_buffers`; overwritten.

        Raises:
            DelegateError: The delegate's device failed.
        """
        self._runtime.set_tensor(self.spec.input.index, input_tensor)  # 6 µs for 270 kB
        self.invoke_bare()
        for role, spec in self.spec.outputs.items():
            # The view lives for this line only: LiteRT refuses to invoke while one is held.
            np.copyto(out[role], self._runtime.tensor(spec.index)())

    def invoke_bare(self) -> None:
        """Run the model on whatever its input holds; what `bench` compares the pipeline with.

        Raises:
            DelegateError: The delegate's device failed.
        """
        try:
            self._runtime.invoke()
        except RuntimeError as error:
            if not self._delegate:
                raise
            raise delegates.lost(self._delegate, _reason(error)) from error
