"""The only place that knows TensorRT's own Python, as JetPack brings it: an `.onnx` on a GPU.

Written after TensorRT 10.3 and 10.16; tried on stand-ins with their signatures, not on a GPU. Types
are those of the file (a strongly typed network); what TensorRT does not take is refused whole.
"""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.errors import DelegateError, DependencyError, ModelError
from edge.model import delegates, engines, onnx_file
from edge.model.backend import Ran
from edge.model.backends.cuda_memory import CudaError, Gpu
from edge.model.delegates import CPU, DELEGATES, TENSORRT_PYTHON, Delegate
from edge.model.first_run import closed

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.model.model_file import ModelFile
    from edge.model.spec import ModelSpec, Tensors, TensorSpec

PACKAGE = "tensorrt"
PLAN = "model.engine"
# Before it there are no strongly typed networks that take pairs of int8.
LEAST_VERSION = 10


def runtime_module() -> Any:  # noqa: ANN401
    """Import and return TensorRT's Python half.

    Raises:
        DependencyError: It is not installed, cannot be loaded here, or is too old.
    """
    try:
        module = importlib.import_module(PACKAGE)
    except ImportError as error:
        raise DependencyError(
            f'delegate "{TENSORRT_PYTHON}" needs the package {PACKAGE}, which cannot be loaded '
            f"({error}); {DELEGATES[TENSORRT_PYTHON].install}"
        ) from error
    major = module.__version__.partition(".")[0]
    if not (major.isdecimal() and int(major) >= LEAST_VERSION):
        raise DependencyError(
            f'delegate "{TENSORRT_PYTHON}" needs TensorRT {LEAST_VERSION} or later, found '
            f"{module.__version__}; use JetPack 6 or 7"
        )
    return module


def who_runs(delegate: Delegate) -> Ran:
    """Return who runs a model with this delegate, without the device's name."""
    return Ran("tensorrt", str(runtime_module().__version__), delegate.kind.provider)


class TensorRt:
    """A model as TensorRT's own engine; one thread at a time may use it.

    Args:
        file: A verified model file.
        delegate: What runs the model, as `edge.model.delegates.parse` takes it.
        engine: Folder of its engine, which is built there if there is none: by `edge prepare`.
        _: Threads: the GPU has its own.

    Attributes:
        ran: Who it is; once it is allocated with the GPU's name.

    Raises:
        ConfigError: There is no delegate of that name.
        DependencyError: TensorRT's Python half is not installed.
    """

    def __init__(
        self, file: ModelFile, *, delegate: str = CPU, engine: Path | None = None, **_: object
    ) -> None:
        self._file, self._engine, self._delegate = file, engine, delegates.parse(delegate)
        delegates.check_format(self._delegate, file.format, file.path)
        self.ran = who_runs(self._delegate)
        self._module = runtime_module()
        self._log = _logger(self._module)
        inputs, self._outputs = onnx_file.tensors(file.flatbuffer, file.path)
        shapes = file.description.input.shapes
        self._inputs = [replace(each, shape=closed(each.shape, shapes)) for each in inputs]

    def tensors(self) -> tuple[list[TensorSpec], list[TensorSpec]]:
        """Return the inputs, with the sides described where open, and outputs as declared."""
        return self._inputs, self._outputs

    def allocate(self) -> None:
        """Load the engine, and take the memory that its ends need, here and on the GPU.

        Raises:
            DelegateError: There is no GPU, or the engine is another's or does not fit into it.
            ModelError: Its outputs have no fixed shape, or are of another type than the file says.
        """
        if self._engine is None:
            raise delegates.without_engine(self._delegate, self._file.path)
        number = int(self._delegate.options.get("device", "0"))
        self.ran = replace(self.ran, device=engines.gpu_name(number))
        try:
            self._gpu = Gpu(number)
            path = self._engine / PLAN
            if not path.exists():
                path.write_bytes(self._built())
            self._runtime = self._module.Runtime(self._log)
            self._code = self._runtime.deserialize_cuda_engine(path.read_bytes())
            self._context: Any = self._code and self._code.create_execution_context()
            if self._context is None:
                raise delegates.refused(self._delegate, self._log.said)
            self._bind()
        except CudaError as error:
            raise delegates.refused(self._delegate, str(error)) from error

    def _built(self) -> bytes:
        """Return a new engine; that takes minutes.

        Source: NVIDIA TensorRT Python API, Builder, INetworkDefinition, OnnxParser.
        """
        module, builder = self._module, self._module.Builder(self._log)
        typed = module.NetworkDefinitionCreationFlag.STRONGLY_TYPED
        network = builder.create_network(1 << int(typed))
        parser = module.OnnxParser(network, self._log)
        if not parser.parse(self._file.flatbuffer):
            reasons = [parser.get_error(number).desc() for number in range(parser.num_errors)]
            raise self._untaken(next(iter(reasons), self._log.said))
        config = builder.create_builder_config()
        profile = builder.create_optimization_profile()
        for each in self._inputs:
            profile.set_shape(each.name, each.shape, each.shape, each.shape)
        config.add_optimization_profile(profile)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise self._untaken(self._log.said)
        return bytes(plan)

    def _untaken(self, reason: str) -> DelegateError:
        return DelegateError(
            f'{self._file.path}: delegate "{self._delegate.name}" does not take this model '
            f"({reason}), and nothing is left to the CPU; take another of the files that "
            "edge-convert export --tensorrt makes"
        )

    def _bind(self) -> None:
        """Take memory for both ends; it stays where it is for all runs."""
        image = self._inputs[0]
        if not self._context.set_input_shape(image.name, image.shape):
            raise delegates.refused(self._delegate, self._log.said)
        for number, each in enumerate(self._outputs):
            shape = tuple(self._context.get_tensor_shape(each.name))
            if min(shape, default=0) < 0:
                raise ModelError(
                    f"{self._file.path}: output {each.name} has the open shape {shape}; export it "
                    "with a fixed number of rows"
                )
            self._outputs[number] = replace(each, shape=shape)
        self._tensor = np.zeros(image.shape, image.dtype)
        self._heads = [np.zeros(each.shape, each.dtype) for each in self._outputs]
        self._places = []
        for spec, array in zip((image, *self._outputs), (self._tensor, *self._heads), strict=True):
            found = np.dtype(self._module.nptype(self._code.get_tensor_dtype(spec.name)))
            if found != spec.dtype:
                raise ModelError(
                    f"{self._file.path}: {spec.name} is {spec.dtype} in the file, and {found} in "
                    "TensorRT's engine; export it with another opset"
                )
            self._places.append(self._gpu.room(array.nbytes))
            self._context.set_tensor_address(spec.name, self._places[-1])

    def invoke(self, tensor: NDArray[Any], spec: ModelSpec, *, out: Tensors) -> None:
        """Run the model on one input and copy its outputs by role; raises as `invoke_bare`."""
        self._tensor = tensor
        self.invoke_bare()
        for role, output in spec.outputs.items():
            np.copyto(out[role], self._heads[output.index])

    def invoke_bare(self) -> None:
        """Run the model on the input of the last run; the GIL is free meanwhile.

        Raises:
            DelegateError: The GPU failed.
        """
        place, *places = self._places
        try:
            self._gpu.use()  # of this thread, which need not be the one that allocated
            self._gpu.send(self._tensor, place)
            if not self._context.execute_async_v3(stream_handle=self._gpu.stream):
                raise delegates.lost(self._delegate, self._log.said)
            for head, each in zip(self._heads, places, strict=True):
                self._gpu.fetch(each, head)
            self._gpu.finish()
        except CudaError as error:
            raise delegates.lost(self._delegate, str(error)) from error


def _logger(module: Any) -> Any:  # noqa: ANN401
    """Return what TensorRT tells its faults to, which keeps the last one in `said`."""
    faults = (module.ILogger.Severity.INTERNAL_ERROR, module.ILogger.Severity.ERROR)

    class Log(module.ILogger):  # type: ignore[misc] # of a package that is not there
        def __init__(self) -> None:
            module.ILogger.__init__(self)
            self.said = "no reason given"

        def log(self, severity: object, msg: str) -> None:
            if severity in faults:
                self.said = msg

    return Log()
