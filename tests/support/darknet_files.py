"""Darknet models on disk, made by hand: small networks of every supported layer, random weights."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from converter.importers.darknet.network import read_network

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# A layer on each line: `kind key=value ...`, of which the last of a key counts.
CONVOLUTION = "convolutional batch_normalize=1 pad=1"
CLASSES = 3
YOLO = f"yolo num=4 anchors=4,5,9,7,12,20,30,25 classes={CLASSES}"
HEAD = f"convolutional size=1 filters={2 * (5 + CLASSES)} activation=linear"

# Name to (width, height) and layers.
NETWORKS = {
    # As yolov3-tiny: both pools, an upsampled second head, the masks of two heads.
    "v3": (
        (64, 48),
        f"""
        {CONVOLUTION} size=3 filters=4 activation=leaky
        maxpool size=2 stride=2
        {CONVOLUTION} size=3 filters=6 activation=leaky
        maxpool size=2 stride=2
        {CONVOLUTION} size=3 filters=8 activation=leaky
        maxpool size=2 stride=2
        maxpool size=2 stride=1
        {CONVOLUTION} size=3 filters=8 activation=leaky
        {HEAD}
        {YOLO} mask=2,3
        route layers=-3
        {CONVOLUTION} size=1 filters=4 activation=leaky
        upsample stride=2
        route layers=-1,4
        {HEAD}
        {YOLO} mask=0,1 scale_x_y=1.05
        """,
    ),
    # As yolov4-tiny: strides in the convolutions, half the channels routed, every activation.
    "csp": (
        (32, 32),
        f"""
        {CONVOLUTION} size=3 stride=2 filters=8 activation=mish
        {CONVOLUTION} size=3 filters=8 activation=swish
        route layers=-1 groups=2 group_id=1
        {CONVOLUTION} size=3 filters=4 activation=leaky
        {CONVOLUTION} size=3 filters=4 activation=logistic
        route layers=-1,-2
        {CONVOLUTION} size=1 filters=8 activation=mish
        route layers=-6,-1
        maxpool size=2 stride=2
        {CONVOLUTION} size=5 stride=2 filters=8 activation=tanh
        {HEAD}
        {YOLO} mask=1,3 scale_x_y=1.05
        """,
    ),
    # As MobileNet-YOLO and Yolo-Fastest: groups, additions, pyramid pooling; sides that halve to
    # odd numbers, a pool that TensorFlow's SAME pads otherwise, a layer without normalisation.
    "mobile": (
        (56, 40),
        f"""
        {CONVOLUTION} size=3 stride=2 filters=8 activation=leaky
        {CONVOLUTION} size=3 filters=8 groups=8 activation=relu
        {CONVOLUTION} size=1 filters=8 activation=linear
        dropout probability=.15
        shortcut from=-4 activation=linear
        {CONVOLUTION} size=5 stride=2 filters=16 groups=8 activation=leaky
        {CONVOLUTION} size=3 filters=8 groups=4 activation=leaky
        maxpool size=3 stride=2
        convolutional size=3 stride=2 padding=1 filters=6 activation=leaky
        maxpool size=3 stride=1
        route layers=-2
        maxpool size=5 stride=1
        route layers=-1,-3,-4
        {CONVOLUTION} size=3 stride=1 pad=0 padding=1 filters=8 activation=leaky
        shortcut from=-1 activation=leaky
        {HEAD}
        {YOLO} mask=0,2
        """,
    ),
    # As yolov2: space moved into channels, anchors in cells, a softmax over the classes.
    "v2": (
        (48, 32),
        f"""
        {CONVOLUTION} size=3 stride=2 filters=8 activation=leaky
        maxpool size=2 stride=2
        {CONVOLUTION} size=3 filters=8 activation=leaky
        maxpool size=2 stride=2
        {CONVOLUTION} size=3 filters=8 activation=leaky
        route layers=-3
        reorg stride=2
        route layers=-1,-3
        {CONVOLUTION} size=3 filters=8 activation=leaky
        {HEAD}
        region num=2 anchors=0.6,0.7,1.9,2.1 classes={CLASSES} coords=4 softmax=1
        """,
    ),
    # As EfficientNet and PRN: sums of layers with more and with fewer channels.
    "partial": (
        (32, 32),
        f"""
        {CONVOLUTION} size=3 stride=2 filters=8 activation=leaky
        {CONVOLUTION} size=3 filters=4 activation=leaky
        shortcut from=-2 activation=leaky
        {CONVOLUTION} size=3 filters=12 activation=linear
        shortcut from=-4 activation=leaky
        {HEAD}
        {YOLO} mask=0,1
        """,
    ),
    # As scaled YOLOv4 and EnetB0: sigmoids before the head, a factor a channel.
    "scaled": (
        (32, 32),
        f"""
        {CONVOLUTION} size=3 stride=2 filters=8 activation=leaky
        avgpool
        convolutional size=1 filters=4 activation=swish
        convolutional size=1 filters=8 activation=logistic
        scale_channels from=-4
        {CONVOLUTION} size=3 stride=2 filters=8 activation=swish
        {CONVOLUTION} size=1 filters=8 activation=logistic
        sam from=-2
        {HEAD.replace("linear", "logistic")}
        {YOLO} mask=0,3 scale_x_y=2.0 new_coords=1
        """,
    ),
}


def cfg_text(name: str) -> str:
    """Return the cfg of one of `NETWORKS`."""
    size_wh, text = NETWORKS[name]
    return cfg_of(text.splitlines(), size_wh=size_wh)


def cfg_of(layers: Iterable[str], *, size_wh: tuple[int, int]) -> str:
    """Return the cfg of layers, `kind key=value ...` each, one key a line."""
    width, height = size_wh
    lines = []
    for layer in [f"net width={width} height={height} channels=3", *filter(str.strip, layers)]:
        kind, *options = layer.split()
        values = dict(option.split("=") for option in options)
        lines.extend([f"[{kind}]", *(f"{key}={value}" for key, value in values.items()), ""])
    return "\n".join(lines)


def write_darknet(folder: Path, name: str, *, version: tuple[int, int, int] = (0, 2, 5)) -> Path:
    """Write cfg and random weights of one of `NETWORKS`; return the path of the cfg."""
    path = folder / f"{name}.cfg"
    path.write_text(cfg_text(name))
    seen = 8 if version[0] * 10 + version[1] >= 2 else 4
    random = np.random.default_rng(0)
    rows = [
        row.astype("<f4").tobytes()
        for convolution in read_network(path).convolutions().values()
        for row in _weights(random, convolution)
    ]
    path.with_suffix(".weights").write_bytes(
        struct.pack("<3i", *version) + bytes(seen) + b"".join(rows)
    )
    return path


def _weights(random, convolution):
    """Yield what the file holds of a convolution, in its order.

    Some variances are so small that Darknet's epsilon shows; what comes out is about 1.
    """
    filters, *kernel = convolution.kernel
    yield random.normal(size=filters)  # bias
    if convolution.is_normalized:
        variance = 10 ** random.uniform(-5, 0, filters)
        yield np.sqrt(variance) * random.uniform(0.5, 1.5, filters)  # scale
        yield np.sqrt(variance) * random.normal(size=filters)  # mean
        yield variance
    inputs = np.prod(kernel)
    yield random.normal(size=(filters, inputs)) / np.sqrt(inputs)


# Of the development assets: name to cfg and weights.
REAL_MODELS = {
    name.rpartition("/")[2]: (f"models/{name}.cfg", f"models/{name}.weights")
    for name in (
        "yolov3_tiny/yolov3-tiny",
        "yolo_fastest/yolo-fastest-1.1",
        "yolo_fastest/yolo-fastest-1.1_body",
    )
}
REAL_IMAGE = "images/skimage/astronaut.png"
SAMPLES = 1000


def random_input(name: str) -> np.ndarray:
    """Return the `(H, W, 3)` float32 input of one of `NETWORKS`, in [0, 1)."""
    width, height = NETWORKS[name][0]
    return np.random.default_rng(1).random((height, width, 3), np.float32)


def crop_input(image: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """Return the top left of an RGB image in [0, 1], float32; no version resizes it otherwise."""
    width, height = size_wh
    return image[:height, :width].astype(np.float32) / np.float32(255)


def sampled(head: np.ndarray) -> np.ndarray:
    """Return the lowest and highest value of a head, then values at fixed places."""
    places = np.random.default_rng(2).integers(head.size, size=SAMPLES)
    return np.concatenate([[head.min(), head.max()], head.ravel()[places]]).astype(np.float32)


def whole_heads(outputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Return the heads as Darknet has them, `(H, W, anchors * (5 + classes))`, of outputs by role.

    Args:
        outputs: `boxes0`, `objectness0`, `scores0`, `boxes1` ..., each `(1, H, W, ...)`.
    """
    heads = []
    for grid in range(len(outputs) // 3):
        boxes, objectness, scores = (
            outputs[f"{role}{grid}"][0] for role in ("boxes", "objectness", "scores")
        )
        cells = (*objectness.shape, -1)  # (H, W, anchors, values)
        parts = [boxes.reshape(cells), objectness[..., None], scores.reshape(cells)]
        heads.append(np.concatenate(parts, axis=-1).reshape(*objectness.shape[:2], -1))
    return heads
