"""The only place that knows onnxruntime: open a model on one provider alone, invoke it.

Nothing falls back: onnxruntime would take the CPU for a provider that fails, or for single ops, and
say so at most on stdout. So the CPU is never listed beside another provider, the retry is switched
off, an op that the provider leaves is refused, the provider is compared, and `edge.model.proof`
invokes once at load, which is where a GPU without code for it fails.
"""

from __future__ import annotations

import importlib
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.errors import DelegateError, DependencyError, ModelError
from edge.model import delegates, engines, onnx_file
from edge.model.backend import Ran, first_line
from edge.model.delegates import CPU, Delegate
from edge.model.first_run import closed, refusals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.model.model_file import ModelFile
    from edge.model.spec import ModelSpec, Tensors, TensorSpec

PACKAGE = "onnxruntime"
CPU_PROVIDER = "CPUExecutionProvider"
# Of the levels 0 (verbose) to 4 (fatal): what goes wrong comes as an exception as well.
FATAL = 4
# Of what the guard against single ops on the CPU says.
CPU_LEFT = "fallback to CPU EP has been explicitly disabled"
# Of what newer and older versions say of an output that does not fit where it was bound to.
SHAPE_CHANGED = ("pre-allocated output", "Shape mismatch attempting to re-use buffer")


def runtime_module() -> Any:  # noqa: ANN401
    """Import and return onnxruntime, silenced.

    Raises:
        DependencyError: It is not installed.
    """
    try:
        module = importlib.import_module(PACKAGE)
    except ModuleNotFoundError as error:
        if error.name != PACKAGE:
            raise
        raise DependencyError(
            "models in ONNX need onnxruntime, which is not installed; type: "
            "pip install 'edge-vision[onnx]' (for a GPU: docs/accelerators.md)"
        ) from error
    module.set_default_logger_severity(FATAL)
    return module


def who_runs(delegate: Delegate) -> Ran:
    """Return who runs a model with this delegate, without the device's name."""
    version = str(runtime_module().__version__)
    return Ran("onnxruntime", version, delegate.kind.provider or CPU)


def trial_facts() -> tuple[str, str]:
    """Return what a trial runs a model with, and as what that is installed: under several names.

    Raises:
        DependencyError: It is not installed.
    """
    runtime_module()
    return PACKAGE, f"{PACKAGE}*"


def check_delegate(file: ModelFile, delegate: Delegate) -> None:
    """Refuse a delegate that this onnxruntime was built without; opens no device.

    Raises:
        DelegateError: It was.
        DependencyError: There is no onnxruntime.
    """
    delegates.check_format(delegate, file.format, file.path)
    module = runtime_module()
    has = module.get_available_providers()
    if delegate.kind.provider not in has:
        raise DelegateError(
            f'delegate "{delegate.name}" needs {delegate.kind.provider}, this onnxruntime '
            f"{module.__version__} was built with {', '.join(has)}; install "
            f"{delegate.kind.install}"
        )


class OnnxRuntime:
    """A model in onnxruntime; one thread at a time may use it.

    Args:
        file: A verified model file.
        threads: Of the CPU's provider, >= 1.
        delegate: What runs the model, as `edge.model.delegates.parse` takes it.
        engine: Folder of its engine, where the delegate runs a prepared one.

    Attributes:
        ran: Who it is; once it is allocated with the GPU's name.

    Raises:
        ConfigError: There is no delegate of that name.
        DelegateError: onnxruntime was built without it, or does not find its device.
    """

    def __init__(
        self,
        file: ModelFile,
        *,
        threads: int = 1,
        delegate: str = CPU,
        engine: Path | None = None,
    ) -> None:
        self._delegate = delegates.parse(delegate)
        if self._delegate:
            check_delegate(file, self._delegate)
        self.ran = who_runs(self._delegate)
        self._file = file
        self._threads = threads
        self._engine = engine
        inputs, self._outputs = onnx_file.tensors(file.flatbuffer, file.path)
        shapes = file.description.input.shapes
        self._inputs = [replace(each, shape=closed(each.shape, shapes)) for each in inputs]
        self._session: Any = None

    def tensors(self) -> tuple[list[TensorSpec], list[TensorSpec]]:
        """Return the inputs, with the sides described where open, and outputs as declared."""
        return self._inputs, self._outputs

    def allocate(self) -> None:
        """Open the session and take the memory that its ends need.

        Raises:
            ModelError: The runtime refuses the model.
            DelegateError: The delegate does not take all of it, or finds no device.
        """
        module = runtime_module()
        self._errors = refusals(module)
        self._session = self._open(module)
        self._close_outputs()
        self._binding = self._session.io_binding()
        # Outputs are bound once: the runtime copies them here after each run.
        self._heads = [np.zeros(output.shape, output.dtype) for output in self._outputs]
        for output, head in zip(self._outputs, self._heads, strict=True):
            self._binding.bind_output(
                output.name, "cpu", 0, head.dtype, head.shape, head.ctypes.data
            )
        self._bind(np.zeros(self._inputs[0].shape, self._inputs[0].dtype))

    def _close_outputs(self) -> None:
        """Run once where the file leaves shapes of its outputs open, to know them."""
        if all(output.shape and onnx_file.OPEN not in output.shape for output in self._outputs):
            return
        image = self._inputs[0]
        names = [output.name for output in self._outputs]
        with self._running():
            seen = self._session.run(names, {image.name: np.zeros(image.shape, image.dtype)})
        self._outputs = [
            replace(output, shape=one.shape)
            for output, one in zip(self._outputs, seen, strict=True)
        ]

    def _open(self, module: Any) -> Any:  # noqa: ANN401
        options = module.SessionOptions()
        options.log_severity_level = FATAL
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        # Spinning threads take the cores from capture: 74 instead of 24 ms of CPU a frame at 5 Hz.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        provider, settings = CPU_PROVIDER, {}
        if self._delegate:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
            provider, settings = self._delegate.kind.provider, self._settings()
        try:
            session = module.InferenceSession(
                self._file.flatbuffer, options, providers=[(provider, settings)], enable_fallback=0
            )
        except self._errors as error:
            raise self._refusal(error) from error
        used = session.get_providers()[0]
        if used != provider:
            raise delegates.refused(self._delegate, f"onnxruntime took {used} for it")
        if self._delegate:
            device = int(self._delegate.options.get("device", "0"))
            self.ran = replace(self.ran, device=engines.gpu_name(device))
        return session

    def _settings(self) -> dict[str, str]:
        """Return the provider's options.

        Source: ONNX Runtime, "TensorRT Execution Provider", configurations.

        Raises:
            DelegateError: It runs prepared engines only, and none is given.
        """
        settings = {"device_id": self._delegate.options.get("device", "0")}
        if not self._delegate.kind.is_prepared:
            return settings
        if self._engine is None:
            raise delegates.without_engine(self._delegate, self._file.path)
        kinds = onnx_file.ops(self._file.flatbuffer, self._file.path)
        return settings | {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(self._engine),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(self._engine),
            # The types are in the graph; TensorRT before 11 wants leave to use them.
            "trt_fp16_enable": "1",
            "trt_int8_enable": str(int("QuantizeLinear" in kinds)),
        }

    def _refusal(self, error: Exception) -> ModelError | DelegateError:
        if self._delegate and CPU_LEFT in str(error):
            return DelegateError(
                f'{self._file.path}: delegate "{self._delegate.name}" does not run all ops of this '
                "model, and none is left to the CPU; take another of the files that edge-convert "
                "export --tensorrt makes"
            )
        if self._delegate:
            return delegates.refused(self._delegate, reason(error))
        return ModelError(
            f"{self._file.path}: onnxruntime {self.ran.version} cannot load this model: "
            f"{reason(error)}; convert it again"
        )

    def _bind(self, tensor: NDArray[Any]) -> None:
        """Have the next runs read this tensor, which is kept until another one is bound.

        With a GPU, binding is what copies: it is due for each frame. On the CPU it takes 5 µs.
        """
        spec = self._inputs[0]
        self._binding.bind_input(
            spec.name, "cpu", 0, tensor.dtype, tensor.shape, tensor.ctypes.data
        )
        self._bound = tensor

    def invoke(self, tensor: NDArray[Any], spec: ModelSpec, *, out: Tensors) -> None:
        """Run the model on one input and copy its outputs by role; raises as `invoke_bare`."""
        self._bind(tensor)
        self.invoke_bare()
        for role, output in spec.outputs.items():
            np.copyto(out[role], self._heads[output.index])

    def invoke_bare(self) -> None:
        """Run the model on the input of the last run; the GIL is free meanwhile.

        Raises:
            ModelError: An op failed.
            DelegateError: The delegate's device failed, or has no code for this model.
        """
        with self._running():
            self._session.run_with_iobinding(self._binding)

    @contextmanager
    def _running(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            if any(words in str(error) for words in SHAPE_CHANGED):
                raise ModelError(
                    f"{self._file.path}: expected each output in the shape that it was declared "
                    f"in or first had, found another: {reason(error)}; export it with a fixed "
                    "number of rows"
                ) from error
            if self._delegate:
                raise delegates.lost(self._delegate, reason(error)) from error
            raise ModelError(
                f"{self._file.path}: onnxruntime failed while it ran this model: {reason(error)}; "
                "convert it again"
            ) from error


def reason(error: Exception) -> str:
    """Return the first line of what onnxruntime said, without its prefix."""
    line = first_line(error)
    return line.rpartition(" : ")[2] if line.startswith("[ONNXRuntimeError]") else line
