"""Run a float model over a calibration set, and collect the range of each of its tensors.

Statistics are taken in two passes: first every tensor's extremes, then, for the calibrators that
cut tails, a histogram of fixed bins between them. Both merge in any order, so the result depends on
the set of images and not on their sequence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.calibrators import CALIBRATORS
from calibration.histogram import Histogram
from calibration.images import read_image
from calibration.ranges import Range
from edge.errors import ConfigError, ModelError
from edge.interpreter import open_interpreter, runtime_module, tensor_spec
from edge.preprocess import Preprocessor, pixel_table
from edge.quant import Quant

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from calibration.dataset import ImageSet
    from calibration.progress import Progress
    from edge.manifest import InputTransform
    from edge.model_spec import TensorSpec

# Of an input's shape: batch, height, width, channels.
NHWC, CHANNELS = 4, 3
Taps = Iterator[tuple[str, "NDArray[np.float32]"]]


# The model, the data and the transform are three things; the rest are options.
def observe(  # noqa: PLR0913
    flatbuffer: bytes,
    images: ImageSet,
    transform: InputTransform,
    *,
    calibrator: str,
    threads: int = 1,
    progress: Progress | None = None,
) -> dict[str, Range]:
    """Return the range of every float tensor that the model computes, and of its input.

    The input's is `pinned_input`, whatever the images and the calibrator say.

    Args:
        flatbuffer: A bare float model with one input `(1, H, W, 3)`.
        images: The calibration set.
        transform: As the board will apply it, with the board's own `fill_input`.
        calibrator: A key of `CALIBRATORS`.
        threads: Of the interpreter.
        progress: Called with (images run, images to run); a second pass counts again.

    Returns:
        Tensor name to range; tensors that share a name share the range that holds both.

    Raises:
        ConfigError: There is no such calibrator.
        ModelError: The model is not a float model of that input, or computed a value that is not
            finite.
        SourceError: An image cannot be read.
    """
    found = observe_each(
        flatbuffer, images, transform, calibrators=(calibrator,), threads=threads, progress=progress
    )
    return found[calibrator]


def observe_each(  # noqa: PLR0913 - as `observe`
    flatbuffer: bytes,
    images: ImageSet,
    transform: InputTransform,
    *,
    calibrators: Sequence[str],
    threads: int = 1,
    progress: Progress | None = None,
) -> dict[str, dict[str, Range]]:
    """Return the ranges that each of several calibrators chooses from the same runs.

    Returns:
        Calibrator to what `observe` returns of it.
    """
    for name in calibrators:
        if name not in CALIBRATORS:
            raise ConfigError(
                f"expected a calibrator, one of {', '.join(CALIBRATORS)}, found {name!r}"
            )
    model = TappedModel(flatbuffer, transform, threads=threads)
    searching = [name for name in calibrators if name != "minmax"]
    passes = 2 if searching else 1
    count = len(images.paths)
    ranges: dict[str, Range] = {}
    for done, path in enumerate(images.paths, start=1):
        _widen_inplace(ranges, model.run(read_image(path)), path=path)
        if progress:
            progress(done, passes * count)
    if not searching:
        ranges[model.input_name] = pinned_input(transform)
        return dict.fromkeys(calibrators, ranges)
    pinned = {model.input_name: pinned_input(transform)}
    histograms: dict[str, Histogram] = {}
    for done, path in enumerate(images.paths, start=count + 1):
        _count_inplace(histograms, model.run(read_image(path)), ranges=ranges)
        if progress:
            progress(done, passes * count)
    return {
        name: {tensor: CALIBRATORS[name](found) for tensor, found in histograms.items()} | pinned
        for name in calibrators
    }


def input_size_wh(flatbuffer: bytes, path: Path) -> tuple[int, int]:
    """Return the width and height of a bare model's input, pixels.

    Raises:
        ModelError: The runtime refuses the model, or its input is not one `(1, H, W, 3)`.
    """
    runtime = open_interpreter(flatbuffer, path, threads=1)
    specs = [tensor_spec(detail) for detail in runtime.get_input_details()]
    if len(specs) != 1 or len(specs[0].shape) != NHWC or specs[0].shape[3] != CHANNELS:
        found = ", ".join(str(spec.shape) for spec in specs)
        raise ModelError(f"{path}: expected one input (1, height, width, 3), found {found}")
    _, height, width, _ = specs[0].shape
    return width, height


def pinned_input(transform: InputTransform) -> Range:
    """Return the exact range of the input tensor: the image of the pixel values 0..255.

    Calibrated from pictures it would miss a white or a black that they lack, and no longer be
    filled by the bare table of `edge.preprocess`.
    """
    table = pixel_table(transform, quant=Quant(), dtype=np.dtype(np.float32))
    return Range(float(table.min()), float(table.max()))


class TappedModel:
    """A float model all of whose computed tensors can be read after a run.

    Without `experimental_preserve_all_tensors` the arena reuses a tensor's memory for later ones:
    on two public segmenters 228 of 236 tensors read back were another's. And without XNNPACK: it
    would hide the tensors inside its one fused op, or, preserving them, run three times as long as
    the plain kernels.

    Args:
        flatbuffer: The model; kept alive here.
        transform: Of its input.
        threads: Of the interpreter.

    Attributes:
        input_name: Name of the only input.

    Raises:
        ModelError: The runtime refuses the model, or its input is not float32 of the transform's
            size.
    """

    def __init__(self, flatbuffer: bytes, transform: InputTransform, *, threads: int = 1) -> None:
        self._flatbuffer = flatbuffer
        plain = runtime_module().OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self._runtime = open_interpreter(
            flatbuffer,
            Path("float model"),
            threads=threads,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=plain,
        )
        self._input = _float_input(self._runtime, transform)
        self.input_name = self._input.name
        self._preprocessor = Preprocessor(
            transform, quant=self._input.quant, dtype=self._input.dtype
        )
        self._buffer = np.zeros(self._input.shape, np.float32)
        self._taps = _computed_tensors(self._runtime, self._input)

    def run(self, image: NDArray[np.uint8]) -> Taps:
        """Invoke on one image and yield (name, values) of the input and each computed tensor.

        The arrays are copies. The image is `(H, W, 3)` uint8, B G R.
        """
        self._preprocessor.fill_input(image, self._buffer)
        self._runtime.set_tensor(self._input.index, self._buffer)
        self._runtime.invoke()
        for index, name in self._taps:
            yield name, self._runtime.get_tensor(index)


def _float_input(runtime: Any, transform: InputTransform) -> TensorSpec:  # noqa: ANN401
    specs = [tensor_spec(detail) for detail in runtime.get_input_details()]
    width, height = transform.size_wh
    expected = (1, height, width, 3)
    if len(specs) != 1 or specs[0].shape != expected or specs[0].dtype != np.float32:
        found = ", ".join(f"{spec.shape} {spec.dtype}" for spec in specs)
        raise ModelError(
            f"calibration expects a float model with one input {expected} float32, found {found}; "
            "give the float .tflite, and its own input size"
        )
    return specs[0]


def _computed_tensors(runtime: Any, first: TensorSpec) -> list[tuple[int, str]]:  # noqa: ANN401
    # What no op writes is a weight or scratch memory. The runtime has no public list of that.
    written = {int(index) for op in runtime._get_ops_details() for index in op["outputs"]}  # noqa: SLF001
    written.add(first.index)
    return [
        (detail["index"], detail["name"])
        for detail in runtime.get_tensor_details()
        if detail["index"] in written and np.dtype(detail["dtype"]) == np.float32
    ]


def _widen_inplace(ranges: dict[str, Range], taps: Taps, *, path: Path) -> None:
    for name, values in taps:
        if not values.size:
            continue
        low, high = float(values.min()), float(values.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ModelError(
                f"{path}: tensor {name!r} must stay finite, found values from {low} to {high}; "
                "check the input transform (mean, std) and the float model"
            )
        found = Range(low, high)
        ranges[name] = ranges[name].merge(found) if name in ranges else found


def _count_inplace(
    histograms: dict[str, Histogram], taps: Taps, *, ranges: dict[str, Range]
) -> None:
    for name, values in taps:
        if name not in ranges:
            continue
        found = Histogram.of(values, ranges[name])
        histograms[name] = histograms[name].merge(found) if name in histograms else found
