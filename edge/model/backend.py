"""What invokes a model: a table of runtimes, each behind the same four methods."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from edge.errors import DependencyError, ModelError
from edge.model import delegates
from edge.model.delegates import CPU, HAILO, IMX500, Delegate

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.model.model_file import ModelFile
    from edge.model.spec import ModelSpec, Tensors, TensorSpec


@dataclass(frozen=True, slots=True)
class Ran:
    """Which backend runs a model, and on what.

    Attributes:
        backend: A key of `BACKENDS`.
        version: Of the runtime's package.
        provider: The runtime's own name of what computes, or the delegate's; `cpu` for the CPU.
        device: Of the provider; empty where there is one only.
    """

    backend: str
    version: str
    provider: str = CPU
    device: str = ""

    def __str__(self) -> str:
        return f"{self.backend} {self.version} on {self.provider}" + (
            f" ({self.device})" if self.device else ""
        )


class Backend(Protocol):
    """One model in one runtime; one thread at a time may use it.

    One that takes something else than an image has a method `input_buffer(spec)` too, for what
    takes the place of `edge.preprocess.InputBuffer`.

    Attributes:
        ran: Who it is; of an accelerator once it was found to be the one asked for.
    """

    ran: Ran

    def tensors(self) -> tuple[list[TensorSpec], list[TensorSpec]]:
        """Return the inputs and outputs, as the file declares them before `allocate`."""

    def allocate(self) -> None:
        """Take the memory that the tensors need.

        Raises:
            EdgeError: The runtime refuses the model.
        """

    def invoke(self, tensor: NDArray[Any], spec: ModelSpec, *, out: Tensors) -> None:
        """Run the model on one input and copy its outputs by role; the GIL is free meanwhile."""

    def invoke_bare(self) -> None:
        """Run the model on whatever its input holds."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """Where a backend stands.

    Its module also has `who_runs`, which says who would run a model; `trial_facts`: of
    `edge.model.trial`; where there is more to refuse than a format and a package that is missing,
    `check_delegate`; and where a file says what alone can run it, `compiled_for`.

    Attributes:
        format: Of the models that it runs, a key of `edge.model.model_file.FORMATS`.
        module: Imported when a model is loaded.
        name: Of the class, called with (file, *, threads, delegate, engine).
        install: What to type where a package of it is missing.
        delegate: What alone can run a model of this format; `cpu` for none.
    """

    format: str
    module: str
    name: str
    install: str
    delegate: str = CPU


BACKENDS = {
    "litert": Runtime(
        "tflite", "edge.model.backends.litert", "LiteRt", "pip install ai-edge-litert"
    ),
    "onnxruntime": Runtime(
        "onnx", "edge.model.backends.onnxruntime", "OnnxRuntime", "pip install onnxruntime"
    ),
    "tensorrt": Runtime(
        "onnx", "edge.model.backends.tensorrt", "TensorRt", "sudo apt install python3-libnvinfer"
    ),
    "imx500": Runtime(
        "rpk", "edge.model.backends.imx500", "Imx500", "sudo apt install imx500-all", IMX500
    ),
    "hailort": Runtime(
        "hef", "edge.model.backends.hailort", "HailoRt", "sudo apt install hailo-all", HAILO
    ),
}


def backend_module(file: ModelFile, delegate: Delegate | None = None) -> Any:  # noqa: ANN401
    """Import and return the module of the backend that runs a file's format, or a delegate.

    Raises:
        DependencyError: A package of it is not installed.
    """
    name, row = _row(file, delegate)
    try:
        return importlib.import_module(row.module)
    except ModuleNotFoundError as error:
        raise DependencyError(f"the backend {name} is not installed; type: {row.install}") from (
            error
        )


def _row(file: ModelFile, delegate: Delegate | None) -> tuple[str, Runtime]:
    if delegate and delegate.kind.backend:
        return delegate.kind.backend, BACKENDS[delegate.kind.backend]
    return next(each for each in BACKENDS.items() if each[1].format == file.format)


def check_delegate(file: ModelFile, delegate: str) -> None:
    """Refuse a delegate that cannot run a file here; opens no device.

    Raises:
        ConfigError: There is none of that name.
        DelegateError: It cannot be loaded, or the model is not made for it.
    """
    if wanted := delegates.parse(delegate):
        module = backend_module(file, wanted)
        delegates.check_format(wanted, file.format, file.path)
        getattr(module, "check_delegate", lambda *_: module.who_runs(wanted))(file, wanted)


def compiled_for(file: ModelFile) -> str:
    """Return the delegate that alone can run a file, a key of `DELEGATES`; `cpu` for none."""
    _, row = _row(file, None)
    found: str = getattr(backend_module(file), "compiled_for", lambda _: row.delegate)(file)
    return found


def who_runs(file: ModelFile, delegate: str) -> Ran:
    """Return who would run a file; opens no device, so that no device is named."""
    wanted = delegates.parse(delegate)
    found: Ran = backend_module(file, wanted).who_runs(wanted)
    return found


def open_backend(
    file: ModelFile, *, threads: int = 1, delegate: str = CPU, engine: Path | None = None
) -> Backend:
    """Return a model in the runtime of its format, not yet allocated.

    Args:
        file: A verified model file.
        threads: On the CPU, >= 1.
        delegate: As `edge.model.delegates.parse` takes it.
        engine: Folder of the engine of a delegate that runs a prepared one: `edge.model.engines`.

    Raises:
        ModelError: The runtime refuses the model.
        DelegateError: The delegate cannot be loaded, or the model is not made for it.
        DependencyError: The runtime is not installed.
    """
    wanted = delegates.parse(delegate)
    _, row = _row(file, wanted)
    made: Backend = getattr(backend_module(file, wanted), row.name)(
        file, threads=threads, delegate=delegate, engine=engine
    )
    return made


def first_line(error: Exception) -> str:
    """Return what a runtime said, without what stands behind its first line."""
    return next(iter(str(error).strip().splitlines()), "no reason given")


def changed_shape(path: Path, role: str, *, seen: NDArray[Any], out: NDArray[Any]) -> ModelError:
    """Return what says that an output has another shape than it had."""
    return ModelError(
        f"{path}: output {role} was {out.shape}, and of this frame {seen.shape}: expected one "
        "shape for all frames; export it with a fixed number of rows"
    )
