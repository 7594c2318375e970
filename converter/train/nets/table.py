"""The nets that `edge-convert train` knows. A new one is a function and a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from converter.train.nets import small, ssd, unet, yolo

if TYPE_CHECKING:
    from collections.abc import Callable

    from converter.draft import Draft
    from converter.train.nets.wish import Wish


@dataclass(frozen=True, slots=True)
class Net:
    """A row of the table.

    Attributes:
        make: Returns it, with He's weights or a trained body's.
        what: In a few words, for people.
        side_px: Of the input, by default.
        needs: What labels it wants: `boxes`, `masks`, `classes`, or none, plain images.
        anchors: How many k-means finds.
        half: Mean and deviation of the input's pixel values.
        rate: Of learning.
        frozen: How many of the first convolutions stay as the trained body has them.
        batch: Images a step.
    """

    make: Callable[[Wish], Draft]
    what: str
    side_px: int
    needs: str
    anchors: int = 0
    half: tuple[float, float] = (0.0, 255.0)
    rate: float = 1e-3
    batch: int = 16
    frozen: int = 0


SIGNED = (127.5, 127.5)  # -1..1, as the body was trained
# Without a trained body, one starts from nothing.
NETS = {
    "ssd-mobilenet": Net(ssd.mobilenet, "SSDLite on MobileNetV2", 320, "boxes", 6, SIGNED, 1e-3,
        frozen=9),
    "ssd7": Net(ssd.ssd7, "small SSD of seven convolutions", 320, "boxes", 12),
    "ssd300": Net(ssd.ssd300, "SSD300 on VGG-16", 300, "boxes", 24, rate=3e-4),
    "yolo-tiny-v3": Net(yolo.tiny_v3, "YOLOv3-tiny", 416, "boxes", 6),
    "yolo-tiny-v4": Net(yolo.tiny_v4, "YOLOv4-tiny", 416, "boxes", 6),
    "unet-mobilenet": Net(unet.mobilenet, "U-Net on MobileNetV2", 256, "masks", 0, SIGNED, 5e-3, 8,
        frozen=3),
    "unet": Net(unet.same, "classic U-Net", 256, "masks", rate=5e-3, batch=4),
    "unet-valid": Net(unet.valid, "classic U-Net without padding", 388, "masks", rate=5e-3,
        batch=2),
    "autoencoder": Net(small.autoencoder, "convolutional autoencoder", 128, "images"),
    "classifier": Net(small.classifier, "MobileNetV2", 224, "classes", 0, SIGNED, frozen=9),
}  # fmt: skip
