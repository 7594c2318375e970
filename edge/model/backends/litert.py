"""The only place that knows LiteRT: load a model file, invoke it, copy its outputs."""

from __future__ import annotations

import contextlib
import importlib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.errors import DelegateError, DependencyError, ModelError
from edge.model import delegates
from edge.model.backend import Ran, changed_shape, first_line
from edge.model.backends.notices import without_notices
from edge.model.delegates import CPU, DELEGATES, Delegate
from edge.model.first_run import close_input
from edge.model.quant import Quant
from edge.model.spec import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.model.model_file import ModelFile
    from edge.model.spec import ModelSpec, Tensors

# First what a new board installs, then the package it succeeded (Python <= 3.11, numpy < 2).
RUNTIMES = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter")
NUMPY_2 = 2
# What it calls the ops that a delegate has put in place of others.
DELEGATE_OP = "DELEGATE"
# What it adds to a delegate's own words, without a blank between.
RESTORED = "Restored original execution plan"

log = logging.getLogger(__name__)


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


def trial_facts() -> tuple[str, str]:
    """Return what a trial runs a model with, and as what that is installed."""
    return runtime_module().__name__, runtime_name()


def who_runs(delegate: Delegate) -> Ran:
    """Return who runs a model with this delegate."""
    version = str(importlib.import_module(runtime_name()).__version__)
    kind, _, device = delegate.name.partition(":")
    return Ran("litert", version, kind, device)


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
    interpreter = _unallocated(flatbuffer, path, num_threads=threads, **options)
    with _as_sentences(path, delegated=bool(options.get("experimental_delegates"))):
        interpreter.allocate_tensors()
    return interpreter


def _unallocated(flatbuffer: bytes, path: Path, **options: Any) -> Any:  # noqa: ANN401
    with _as_sentences(path):
        return runtime_module().Interpreter(model_content=flatbuffer, **options)


@contextlib.contextmanager
def _as_sentences(path: Path, *, delegated: bool = False) -> Iterator[None]:
    try:
        with without_notices():
            yield
    except (ValueError, RuntimeError) as error:
        for kind in DELEGATES.values():
            if kind.compiled_op and kind.compiled_op in str(error) and not delegated:
                raise DelegateError(f"{path}: {kind.choose}") from error
        text = f"{path}: {runtime_name()} cannot load this model: {first_line(error)}"
        raise ModelError(f"{text}; convert it again") from error


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


def _delegated(file: ModelFile, delegate: Delegate, *, threads: int) -> tuple[Any, str]:
    """Return an interpreter, not yet allocated, and how many of its ops the delegate has taken.

    Raises:
        DelegateError: It cannot be loaded, or takes none of the ops.
    """
    loaded = load_delegate(delegate)
    try:
        with without_notices():
            interpreter = runtime_module().Interpreter(
                model_content=file.flatbuffer, num_threads=threads, experimental_delegates=[loaded]
            )
    except (ValueError, RuntimeError) as error:
        reason = first_line(error).partition(RESTORED)[0]
        raise delegates.unprepared(delegate, file.path, reason) from error
    # Only the delegate has been here: XNNPACK takes what is left when memory is allocated.
    ops = interpreter._get_ops_details()  # noqa: SLF001 - what LiteRT's own analyzer calls
    taken, count = (
        len(_taken_ops(ops)),
        sum(op["op_name"] != DELEGATE_OP for op in ops),
    )
    if not taken:
        raise DelegateError(
            f'{file.path}: delegate "{delegate.name}" takes none of the {count} ops of this model, '
            "and would leave all to the CPU; take a model of the ops and types that its maker "
            "names, or leave delegate out"
        )
    share = f"{taken} of {count} ops"
    if taken < count:
        log.info("delegate %s runs %s, the CPU the others", delegate.name, share)
    return interpreter, share


def _taken_ops(ops: list[dict[str, Any]]) -> set[int]:
    """Return the numbers of the ops that stand between a delegate's inputs and its outputs."""
    makers = {output: op for op in ops if op["op_name"] != DELEGATE_OP for output in op["outputs"]}
    taken: set[int] = set()
    for part in ops:
        if part["op_name"] == DELEGATE_OP:
            given, left = set(part["inputs"]), list(part["outputs"])
            while left:
                op = makers.get(left.pop())
                if op and op["index"] not in taken:
                    taken.add(op["index"])
                    left += [tensor for tensor in op["inputs"] if tensor not in given]
    return taken


def compiled_for(file: ModelFile) -> str:
    """Return the delegate that a model was compiled for, a key of `DELEGATES`; `cpu` for none.

    Raises:
        ModelError: The runtime refuses the model.
    """
    names = [kind.compiled_op for kind in DELEGATES.values() if kind.compiled_op]
    # Looking for the name takes 1 ms, and spares all other models the second interpreter.
    if not any(name.encode() in file.flatbuffer for name in names):
        return CPU
    runtime = _unallocated(file.flatbuffer, file.path)
    ops = runtime._get_ops_details()  # noqa: SLF001 - what LiteRT's own analyzer calls
    needed = {delegates.needed_for(op["op_name"]) for op in ops} - {CPU}
    return needed.pop() if needed else CPU


def check_delegate(file: ModelFile, delegate: Delegate) -> None:
    """Refuse a model that a delegate would leave to the CPU without a word, and a missing library.

    Raises:
        DelegateError: It would, or the library cannot be loaded.
    """
    delegates.check_format(delegate, file.format, file.path)
    kind = delegate.kind
    if kind.compiled_op and DELEGATES[compiled_for(file)] != kind:
        advice = kind.compile.format(name=f'"{delegate.name}"')
        raise DelegateError(f"{file.path}: {advice}")
    delegates.check_library(delegate)


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


class LiteRt:
    """A model in LiteRT; one thread at a time may use it.

    Args:
        file: A verified model file.
        threads: Of the XNNPACK delegate, >= 1.
        delegate: What runs the model, as `edge.model.delegates.parse` takes it.
        _: The engine: no delegate here runs one.

    Attributes:
        ran: Who it is.

    Raises:
        ConfigError: There is no delegate of that name.
        ModelError: The runtime refuses the model.
        DelegateError: The delegate cannot be loaded, or the model is not made for it.
    """

    def __init__(
        self, file: ModelFile, *, threads: int = 1, delegate: str = CPU, **_: object
    ) -> None:
        self._delegate = delegates.parse(delegate)
        self.ran = who_runs(self._delegate)
        self._path = file.path
        self._flatbuffer = file.flatbuffer  # LiteRT borrows it
        if self._delegate:
            check_delegate(file, self._delegate)
            self._runtime, share = _delegated(file, self._delegate, threads=threads)
            self.ran = replace(self.ran, device=", ".join(filter(None, (self.ran.device, share))))
        else:
            self._runtime = _unallocated(file.flatbuffer, file.path, num_threads=threads)
        close_input(self._runtime, file.description.input.shapes)

    def tensors(self) -> tuple[list[TensorSpec], list[TensorSpec]]:
        """Return the inputs and outputs, as the file declares them before `allocate`."""
        inputs, outputs = self._runtime.get_input_details(), self._runtime.get_output_details()
        return [*map(tensor_spec, inputs)], [*map(tensor_spec, outputs)]

    def allocate(self) -> None:
        """Take the memory that the tensors need.

        Raises:
            ModelError: The runtime refuses the model.
            DelegateError: The model was compiled for a delegate, and none runs it.
        """
        with _as_sentences(self._path, delegated=bool(self._delegate)):
            self._runtime.allocate_tensors()

    def invoke(self, tensor: NDArray[Any], spec: ModelSpec, *, out: Tensors) -> None:
        """Run the model on one input and copy its outputs by role; raises as `invoke_bare`."""
        self._runtime.set_tensor(spec.input.index, tensor)  # 6 µs for 270 kB
        self.invoke_bare()
        for role, output in spec.outputs.items():
            # The view lives for this line only: LiteRT refuses to invoke while one is held.
            seen = self._runtime.tensor(output.index)()
            if seen.shape != out[role].shape:
                raise changed_shape(self._path, role, seen=seen, out=out[role])
            np.copyto(out[role], seen)
            del seen

    def invoke_bare(self) -> None:
        """Run the model on whatever its input holds; the GIL is free meanwhile.

        Raises:
            ModelError: An op failed, such as one that takes its indices out of the image.
            DelegateError: The delegate's device failed.
        """
        try:
            self._runtime.invoke()
        except RuntimeError as error:
            if self._delegate:
                raise delegates.lost(self._delegate, first_line(error)) from error
            raise ModelError(
                f"{self._path}: {runtime_name()} failed while it ran this model: "
                f"{first_line(error)}; convert it again"
            ) from error
