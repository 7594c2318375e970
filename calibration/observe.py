"""Run a float model over a calibration set, each image once, and collect the range of its tensors.

Whatever else wants to see the tensors, looks on in the same pass. What is collected does not depend
on the order of the images.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from calibration.calibrators import CALIBRATORS
from calibration.ranges import Range
from calibration.tally import Tally, stride_of
from edge.capture.images import load_image
from edge.errors import ConfigError, ModelError
from edge.model.backends.litert import open_interpreter, tensor_spec
from edge.model.quant import Quant
from edge.preprocess import Preprocessor, pixel_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from calibration.dataset import ImageSet
    from edge.model.description import InputTransform
    from edge.model.spec import TensorSpec
    from edge.terminal.progress import Progress

# Of an input's shape: batch, height, width, channels.
NHWC, CHANNELS = 4, (1, 3)
Taps = Iterator[tuple[str, "NDArray[np.float32]"]]


class Observer(Protocol):
    """What looks on while a model runs."""

    def see(self, name: str, values: NDArray[np.float32], *, path: Path) -> None:
        """Take in what one tensor holds after the run on one image; `values` may be empty."""


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
        progress: Called with (images run, images to run).

    Returns:
        Tensor name to range; tensors that share a name share the range that holds both.

    Raises:
        ConfigError: There is no such calibrator.
        ModelError: The model is not a float model of that input, or computed a value that is not
            finite.
        SourceError: An image cannot be read.
    """
    _check(calibrator)
    model = TappedModel(flatbuffer, transform, threads=threads)
    tallies = Tallies()
    watch(model, images, (tallies,), progress=progress)
    return tallies.ranges(calibrator, pinned=model.pinned())


def watch(
    model: TappedModel,
    images: ImageSet,
    observers: Sequence[Observer],
    *,
    progress: Progress | None = None,
) -> None:
    """Run the model on each image once, and show each observer what every tensor held.

    Raises:
        ModelError: An observer cannot go on with what it saw.
        SourceError: An image cannot be read.
    """
    for done, path in enumerate(images.paths, start=1):
        for name, values in model.run(load_image(path)):
            for observer in observers:
                observer.see(name, values, path=path)
        if progress:
            progress(done, len(images.paths))


class Tallies:
    """An observer of which values each tensor takes: enough for every calibrator."""

    def __init__(self) -> None:
        self._tallies: dict[str, Tally] = {}

    def see(self, name: str, values: NDArray[np.float32], *, path: Path) -> None:
        """Count an array's values.

        Raises:
            ModelError: One is not finite.
        """
        if not values.size:
            return
        low, high = values.min(), values.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ModelError(
                f"{path}: tensor {name!r} must stay finite, found values from {low} to {high}; "
                "check the input transform (mean, std) and the float model"
            )
        found = Tally.of(values, Range(float(low), float(high)), stride=stride_of(values.shape))
        if name in self._tallies:
            self._tallies[name].add_inplace(found)
        else:
            self._tallies[name] = found

    def ranges(self, calibrator: str, *, pinned: dict[str, Range]) -> dict[str, Range]:
        """Return the range of each tensor, by name.

        Args:
            calibrator: Chooses them.
            pinned: Those that are known without looking.

        Raises:
            ConfigError: There is no such calibrator.
        """
        _check(calibrator)
        choose = CALIBRATORS[calibrator]
        found = {
            name: choose(tally.histogram())
            for name, tally in self._tallies.items()
            if name not in pinned
        }
        return found | pinned


def input_size_wh(flatbuffer: bytes, path: Path) -> tuple[int, int]:
    """Return the width and height of a bare model's input, pixels.

    Raises:
        ModelError: The runtime refuses the model, or its input is not one `(1, H, W, C)`
            of 1 or 3 channels.
    """
    runtime = open_interpreter(flatbuffer, path, threads=1)
    specs = [tensor_spec(detail) for detail in runtime.get_input_details()]
    if len(specs) != 1 or len(specs[0].shape) != NHWC or specs[0].shape[3] not in CHANNELS:
        found = ", ".join(str(spec.shape) for spec in specs)
        raise ModelError(f"{path}: expected one input (1, height, width, 1 or 3), found {found}")
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
    on two public segmenters 228 of 236 tensors read back were another's. With it, XNNPACK runs op
    by op and hides none. Measured on SSDLite-MobileNetV2: 11 ms an image against the 47 ms of the
    plain kernels, on yolov3-tiny 29 against 155; the values agree to 1e-5 of a tensor's peak.

    Args:
        flatbuffer: The model; kept alive here.
        transform: Of its input.
        threads: Of the interpreter.

    Raises:
        ModelError: The runtime refuses the model, or its input is not float32 of the transform's
            size.
    """

    def __init__(self, flatbuffer: bytes, transform: InputTransform, *, threads: int = 1) -> None:
        self._flatbuffer = flatbuffer
        with warnings.catch_warnings():
            # LiteRT warns that what is asked for takes memory.
            warnings.filterwarnings("ignore", ".*experimental_preserve_all_tensors")
            self._runtime = open_interpreter(
                flatbuffer,
                Path("float model"),
                threads=threads,
                experimental_preserve_all_tensors=True,
            )
        self._input = _float_input(self._runtime, transform)
        self._transform = transform
        self._preprocessor = Preprocessor(
            transform, quant=self._input.quant, dtype=self._input.dtype
        )
        self._buffer = np.zeros(self._input.shape, np.float32)
        self._taps = _computed_tensors(self._runtime, self._input)

    def pinned(self) -> dict[str, Range]:
        """Return the only input's name, to its `pinned_input`."""
        return {self._input.name: pinned_input(self._transform)}

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
    expected = transform.shape
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


def _check(calibrator: str) -> None:
    if calibrator not in CALIBRATORS:
        raise ConfigError(
            f"expected a calibrator, one of {', '.join(CALIBRATORS)}, found {calibrator!r}"
        )
