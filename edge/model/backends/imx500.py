"""The sensor of an AI Camera as a backend: what it saw comes with each frame, nothing is invoked.

`edge.capture.imx500` reads it; tried on picamera2's real class with made-up metadata, not on a
sensor.
"""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.capture.picture import Picture
from edge.errors import DelegateError, ModelError, SourceError
from edge.frame import Placement
from edge.model import delegates
from edge.model.backend import Ran
from edge.model.delegates import CPU, DELEGATES, IMX500, Delegate
from edge.model.quant import Quant
from edge.model.spec import TensorSpec

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.model.model_file import ModelFile
    from edge.model.spec import ModelSpec, Tensors

# The sensor's pixels, of which all boxes of its networks are shares: width and height.
SENSOR_WH = (4056, 3040)
# What the one output is called in a description, and how many rows of it there can be.
OUTPUT, MAX_ROWS = "detections", 300
ROW, SCORE = 6, 4
UNUSED = -1.0  # a score below any threshold


def trial_facts() -> tuple[str, str]:
    """Return that nothing here can try a network of the sensor's."""
    return "", ""


def who_runs(_: Delegate) -> Ran:
    """Return who runs a model."""
    try:
        version = importlib.metadata.version("picamera2")
    except importlib.metadata.PackageNotFoundError:
        version = "of unknown version"
    return Ran("picamera2", version, IMX500)


class Imx500:
    """A network in the sensor; one thread at a time may use it.

    Args:
        file: A verified model file, the one of the source `imx500:`.
        delegate: What runs the model, as `edge.model.delegates.parse` takes it.
        _: Threads and engine: the sensor has its own, and the file is one.

    Attributes:
        ran: Who it is.

    Raises:
        ConfigError: There is no delegate of that name.
        DelegateError: It is for other files.
    """

    def __init__(self, file: ModelFile, *, delegate: str = CPU, **_: object) -> None:
        self._delegate = delegates.parse(delegate)
        if self._delegate:
            delegates.check_format(self._delegate, file.format, file.path)
        self._file = file
        self.ran = who_runs(self._delegate)

    def tensors(self) -> tuple[list[TensorSpec], list[TensorSpec]]:
        """Return the sensor's image, and the rows that it gives.

        Raises:
            ModelError: The description is of another image.
        """
        shape = self._file.description.input.shape
        if self._file.description.input.size_wh != SENSOR_WH:
            raise ModelError(
                f"{self._file.path}: expected [input] size_wh = {list(SENSOR_WH)}, the sensor's "
                f"own, found {list(self._file.description.input.size_wh)}; correct the description"
            )
        image = TensorSpec("sensor", 0, shape, np.dtype(np.uint8), Quant())
        rows = TensorSpec(OUTPUT, 0, (1, MAX_ROWS, ROW), np.dtype(np.float32), Quant())
        return [image], [rows]

    def allocate(self) -> None:
        """Refuse to run without its delegate.

        Raises:
            DelegateError: None was named.
        """
        if not self._delegate:
            raise DelegateError(f"{self._file.path}: {DELEGATES[IMX500].choose}")

    def input_buffer(self, _: ModelSpec) -> SensorBuffer:
        """Return what takes the place of an input tensor."""
        return SensorBuffer(self._file.path)

    def invoke(self, tensor: NDArray[Any], spec: ModelSpec, *, out: Tensors) -> None:
        """Hand on what came with the frame."""
        for role in spec.outputs:
            np.copyto(out[role], tensor)

    def invoke_bare(self) -> None:
        """Refuse: there is no invoke to time.

        Raises:
            DelegateError: Always.
        """
        raise DelegateError(
            "the sensor runs its network by itself, so that there is no invoke to time; see "
            "age_ms in the messages of edge run"
        )


class SensorBuffer:
    """Takes what the sensor saw out of a frame; one thread at a time may use it.

    Args:
        network: The model's file.

    Attributes:
        tensor: `(1, MAX_ROWS, 6)` float32; scores of rows that are not in use are below 0.
        placement: Which part of the sensor the last frame shows.
    """

    def __init__(self, network: Path) -> None:
        self._network = network.resolve()
        self.tensor = np.zeros((1, MAX_ROWS, ROW), np.float32)
        self.placement = Placement(SENSOR_WH, SENSOR_WH, SENSOR_WH, (0, 0))

    def fill(self, image: Picture | NDArray[np.uint8]) -> None:
        """Take a frame of the sensor's; a bare image was seen by no sensor, and shows nothing.

        Raises:
            SourceError: The frame is of another source, or another network saw it.
        """
        rows = self.tensor[0]
        rows[:, SCORE] = UNUSED
        if not isinstance(image, Picture):
            return
        sensed = image.sensed
        if sensed is None or sensed.network != self._network:
            found = f"{sensed.network} there" if sensed else "another source"
            raise SourceError(
                f"{self._network} runs in the sensor of an AI Camera, found {found}; set [camera] "
                f'source = "imx500:{self._network}"'
            )
        count = min(len(sensed.rows), MAX_ROWS)
        rows[:count] = sensed.rows[:count]
        x, y, width, height = sensed.crop_xywh
        self.placement = Placement(image.size_wh, SENSOR_WH, (width, height), (x, y))
