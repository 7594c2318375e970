"""The only place that knows HailoRT: a `.hef` on a Hailo-8, 8L or 10H.

Written after hailo_platform 4.23 and 5.2; tried on stand-ins with their signatures, not on a chip.
"""

from __future__ import annotations

import importlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.errors import DelegateError, DependencyError, ModelError
from edge.model import delegates
from edge.model.backend import Ran, first_line
from edge.model.delegates import CPU, DELEGATES, HAILO, Delegate
from edge.model.quant import Quant
from edge.model.spec import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.model.model_file import ModelFile
    from edge.model.spec import ModelSpec, Tensors

PACKAGE, DISTRIBUTION = "hailo_platform", "hailort"
# A frame takes the chip milliseconds; its first one, with the weights sent, a second or so.
TIMEOUT_MS = 10_000
# Results of HailoRT's own suppression, all boxes of class 0, then all of class 1 …: by its name
# since 4.21, and before.
BY_CLASS = {"HAILO_NMS_BY_CLASS", "HAILO_NMS"}
# Of a box: y0, x0, y1, x1, shares of the input, and its score. Source: hailo_bbox_float32_t.
BOX, SCORE, ROW = 5, 4, 6
UNUSED = -1.0  # a score below any threshold


def runtime_module() -> Any:  # noqa: ANN401
    """Import and return HailoRT's Python half.

    Raises:
        DependencyError: It is not installed, or cannot be loaded here.
    """
    try:
        return importlib.import_module(PACKAGE)
    except ImportError as error:
        raise DependencyError(
            f"a .hef needs HailoRT's package {PACKAGE}, which cannot be loaded ({error}); "
            f"{DELEGATES[HAILO].install}"
        ) from error


def trial_facts() -> tuple[str, str]:
    """Return what a trial reads a file with, and as what that is installed."""
    runtime_module()
    return PACKAGE, DISTRIBUTION


def who_runs(delegate: Delegate) -> Ran:
    """Return who runs a model with this delegate."""
    version = str(getattr(runtime_module(), "__version__", "of unknown version"))
    return Ran("hailort", version, HAILO, delegate.options.get("device", ""))


class HailoRt:
    """A model on a Hailo chip; one thread at a time may use it.

    Args:
        file: A verified model file.
        delegate: What runs the model, as `edge.model.delegates.parse` takes it.
        _: Threads and engine: the chip has its own, and the file is one.

    Attributes:
        ran: Who it is.

    Raises:
        ConfigError: There is no delegate of that name.
        ModelError: HailoRT cannot read the file, or this program its outputs.
        DependencyError: HailoRT is not installed.
    """

    def __init__(self, file: ModelFile, *, delegate: str = CPU, **_: object) -> None:
        self._delegate = delegates.parse(delegate)
        if self._delegate:
            delegates.check_format(self._delegate, file.format, file.path)
        self._file = file
        self._module = runtime_module()
        self.ran = who_runs(self._delegate)
        with self._reading():
            hef = self._module.HEF(file.flatbuffer)
            inputs, outputs = hef.get_input_vstream_infos(), hef.get_output_vstream_infos()
        self._classes = {
            info.name: info.nms_shape.number_of_classes
            for info in outputs
            if info.format.order.name in BY_CLASS
        }
        self._inputs = [_input(info, index, file.path) for index, info in enumerate(inputs)]
        self._outputs = [_output(info, index, file.path) for index, info in enumerate(outputs)]

    def tensors(self) -> tuple[list[TensorSpec], list[TensorSpec]]:
        """Return the inputs and outputs as the file declares them."""
        return self._inputs, self._outputs

    def allocate(self) -> None:
        """Open the chip and send it the model.

        Raises:
            DelegateError: No delegate was named, or the chip cannot be had or does not take it.
        """
        if not self._delegate:
            raise DelegateError(f"{self._file.path}: {DELEGATES[HAILO].choose}")
        device = self._delegate.options.get("device")
        self._buffers: dict[str, NDArray[Any]] = {}
        try:
            self._chip = self._module.VDevice(device_ids=[device] if device else None)
            model = self._chip.create_infer_model(self._file.flatbuffer)
            for output in self._outputs:
                stream = model.output(output.name)
                stream.set_format_type(getattr(self._module.FormatType, output.dtype.name.upper()))
                self._buffers[output.name] = np.zeros(stream.shape, output.dtype)
            self._configured = model.configure()
            self._bindings = self._configured.create_bindings(output_buffers=self._buffers)
            self._bind(np.zeros(self._inputs[0].shape, np.uint8))
        except self._errors() as error:
            raise delegates.refused(self._delegate, first_line(error)) from error

    def invoke(self, tensor: NDArray[Any], spec: ModelSpec, *, out: Tensors) -> None:
        """Run the model on one input and write its outputs by role; raises as `invoke_bare`."""
        self._bind(tensor)
        self.invoke_bare()
        for role, output in spec.outputs.items():
            flat = self._buffers[output.name].reshape(-1)
            classes = self._classes.get(output.name)
            if classes is None:
                np.copyto(out[role], flat.reshape(output.shape))
            elif rows_inplace(flat, classes=classes, out=out[role]) is None:
                raise delegates.lost(self._delegate, "it gave more boxes than there can be")

    def invoke_bare(self) -> None:
        """Run the model on the input of the last run; the GIL is free meanwhile.

        Raises:
            DelegateError: The chip failed, or gave nothing in time.
        """
        try:
            self._configured.run([self._bindings], TIMEOUT_MS)
        except self._errors() as error:
            raise delegates.lost(self._delegate, first_line(error)) from error

    def _bind(self, tensor: NDArray[Any]) -> None:
        self._bindings.input().set_buffer(tensor)

    def _errors(self) -> tuple[type[Exception], ...]:
        return (self._module.HailoRTException, RuntimeError, ValueError, OSError)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except self._errors() as error:
            raise ModelError(
                f"{self._file.path}: HailoRT {self.ran.version} cannot read this .hef: "
                f"{first_line(error)}; compile it with the Dataflow Compiler of this version"
            ) from error


def rows_inplace(
    flat: NDArray[np.float32], *, classes: int, out: NDArray[np.float32]
) -> int | None:
    """Write boxes that stand class by class as rows, and mark the rows behind them as unused.

    Args:
        flat: For each class the number of its boxes, then y0, x0, y1, x1, score of each.
        classes: How many.
        out: `(1, N, 6)`, rewritten: y0, x0, y1, x1, score, class.

    Returns:
        The number of rows in use; `None` where the numbers do not fit `out`.
    """
    rows, used, at = out[0], 0, 0
    for class_id in range(classes):
        count = flat[at]
        at += 1
        if not count:
            continue
        if not 0 < count <= len(rows) - used:
            return None
        end = used + int(count)
        rows[used:end, :BOX] = flat[at : at + int(count) * BOX].reshape(-1, BOX)
        rows[used:end, BOX] = class_id
        at += int(count) * BOX
        used = end
    rows[used:, SCORE] = UNUSED
    return used


def _input(info: Any, index: int, path: Path) -> TensorSpec:  # noqa: ANN401
    if info.format.order.name != "NHWC":
        raise ModelError(
            f"{path}: its input {info.name} wants {info.format.order.name} pixels; compile it for "
            "NHWC"
        )
    quant = Quant(float(info.quant_info.qp_scale), round(info.quant_info.qp_zp))
    return TensorSpec(info.name, index, (1, *info.shape), np.dtype(np.uint8), quant)


def _output(info: Any, index: int, path: Path) -> TensorSpec:  # noqa: ANN401
    """Return an output as it is asked for: uint8 as the chip has it, everything else float32."""
    order, zero_point = info.format.order.name, info.quant_info.qp_zp
    if order in BY_CLASS:
        most = info.nms_shape.number_of_classes * info.nms_shape.max_bboxes_per_class
        return TensorSpec(info.name, index, (1, most, ROW), np.dtype(np.float32), Quant())
    if order not in ("NHWC", "FCR", "NC"):
        raise ModelError(
            f"{path}: its output {info.name} is {order}, which is not read here; compile it with "
            "its suppression by class, or without"
        )
    shape = (1, *info.shape[-1:]) if order == "NC" else (1, *info.shape)
    if info.format.type.name == "UINT8" and zero_point == round(zero_point):
        quant = Quant(float(info.quant_info.qp_scale), round(zero_point))
        return TensorSpec(info.name, index, shape, np.dtype(np.uint8), quant)
    return TensorSpec(info.name, index, shape, np.dtype(np.float32), Quant())
