"""The source `imx500:`: Raspberry Pi's AI Camera, whose sensor runs a network and sends results.

Each frame comes with what the network saw in it; frames without are passed over. Tried on
picamera2's real class with made-up metadata, not on a sensor.
"""

from __future__ import annotations

import sys
import time
from contextlib import redirect_stdout
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.capture.location import find
from edge.capture.picamera import PicameraSource
from edge.capture.picture import Sensed
from edge.capture.source import STALL_S
from edge.errors import DependencyError, SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.capture.options import PicameraOptions
    from edge.capture.picture import Picture

# The first result waits until the network was sent to the sensor, which takes a minute or so.
START_S = 180.0
BOX, SCORE, CLASS, ROW = 4, 4, 5, 6
DETECTION = "object detection"
INSTALL = "type: sudo apt install imx500-all python3-picamera2"


def check_imx500(location: str, options: PicameraOptions) -> None:
    """Refuse what is no network, and what the camera cannot do while its sensor runs one.

    Raises:
        SourceError: There is no such file, or a turn or rpicam-vid is asked for.
    """
    find("imx500", location)
    if options.rotate:
        raise SourceError(
            f"imx500: rotate = {options.rotate}: the sensor sees the scene as it lies; mount the "
            "camera upright, and leave rotate out"
        )
    if options.via == "rpicam-vid":
        raise SourceError("imx500: only picamera2 hands on what the sensor saw; leave via out")


def open_imx500(location: str, options: PicameraOptions) -> Imx500Source:
    """Send the network at this path to the sensor, and open its camera.

    Raises:
        SourceError: As `check_imx500`; or there is no such camera, or it refuses the network.
        DependencyError: picamera2 is not installed.
    """
    check_imx500(location, options)
    return Imx500Source(find("imx500", location), options)


class Imx500Source(PicameraSource):
    """An AI Camera: always live.

    Args:
        network: A `.rpk` whose results are detections, suppressed already.
        options: Of its frames.

    Raises:
        SourceError: There is no such camera, or it refuses the network.
        DependencyError: picamera2 is not installed.
    """

    def __init__(self, network: Path, options: PicameraOptions) -> None:
        self._network = network.resolve()
        try:
            from picamera2 import devices  # type: ignore[import-not-found] # noqa: PLC0415
        except ImportError as error:
            raise DependencyError(f"imx500: cannot be read ({error}); {INSTALL}") from error
        try:
            # Before the camera is opened: it takes the network then. It prints what it misses, to
            # where the results go.
            with redirect_stdout(sys.stderr):
                self._sensor: Any = devices.IMX500(str(network))
        except (RuntimeError, OSError, StopIteration) as error:
            raise SourceError(
                f"imx500: expected an AI Camera that takes {network}, found none ({error}); list "
                "the cameras: rpicam-hello --list-cameras"
            ) from error
        self._layout = layout_of(self._sensor, network)
        super().__init__(self._sensor.camera_num, options)
        self._patience_s = START_S

    def read(self, buffer: NDArray[np.uint8] | None) -> Picture | None:
        """Return the next frame with what the sensor saw in it: `Source.read`."""
        give_up_s = time.monotonic() + self._patience_s
        while (picture := super().read(buffer)) is not None:
            metadata = self._request.get_metadata()
            try:
                outputs = self._sensor.get_outputs(metadata)
                crop_xywh = tuple(metadata["ScalerCrop"])
            except (ValueError, KeyError) as error:
                raise SourceError(
                    f"imx500: picamera2 cannot read what the sensor sends ({error}); {INSTALL}"
                ) from error
            if outputs is not None:
                self._patience_s = STALL_S
                rows = rows_of(outputs, **self._layout)
                return replace(picture, sensed=Sensed(rows, self._network, crop_xywh))
            if time.monotonic() > give_up_s:
                raise SourceError(
                    f"imx500: the sensor gave frames but no result for {self._patience_s:g} s; "
                    "check dmesg for imx500, and that the .rpk is of this camera"
                )
        return None


def layout_of(sensor: Any, network: Path) -> dict[str, Any]:  # noqa: ANN401
    """Return how a network gives its boxes, as its file says: arguments of `rows_of`.

    Source: picamera2's examples/imx500/imx500_object_detection_demo.py.

    Raises:
        SourceError: It gives no detections, or raw ones.
    """
    facts = sensor.network_intrinsics
    task = facts.task if facts else None
    if facts and (task not in (None, DETECTION) or facts.postprocess):
        kind = facts.postprocess or task
        raise SourceError(
            f"imx500: expected a network that ends in detections, found {kind} in {network}; take "
            "one whose name ends in _pp.rpk"
        )
    side_px = sensor.get_input_size()[1] if facts and facts.bbox_normalization else 1
    return {"x_first": bool(facts and facts.bbox_order == "xy"), "side_px": side_px}


def rows_of(
    outputs: Sequence[NDArray[np.float32]], *, x_first: bool, side_px: int
) -> NDArray[np.float32]:
    """Return what the sensor saw as rows.

    Args:
        outputs: Boxes `(N, 4)`, scores `(N,)`, classes `(N,)`, and maybe more.
        x_first: A box is x0, y0, x1, y1; otherwise y first.
        side_px: What boxes are divided by: the input's side where they are in its pixels.

    Returns:
        `(N, 6)`: x0, y0, x1, y1 in shares of the sensor, score, class.

    Raises:
        SourceError: They are something else.
    """
    shapes = [output.shape for output in outputs]
    count = shapes[0][0] if shapes and shapes[0] else 0
    if shapes[:3] != [(count, BOX), (count,), (count,)]:
        raise SourceError(
            f"imx500: expected boxes (N, 4), scores (N,), classes (N,) from the sensor, found "
            f"{', '.join(map(str, shapes))}; take a network whose name ends in _pp.rpk"
        )
    rows = np.empty((count, ROW), np.float32)
    rows[:, :BOX] = outputs[0][:, [0, 1, 2, 3] if x_first else [1, 0, 3, 2]] / side_px
    rows[:, SCORE], rows[:, CLASS] = outputs[1], outputs[2]
    return rows
