"""Make tiny Keras models of every format in a child process, as tests load no TensorFlow.

Run as ``python keras_models.py FOLDER``: writes the models, `image.npy` `(1, 64, 48, 3)` float32 in
0..1, and what Keras gives for it, `NAME.npz`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import h5py
import keras
import numpy as np
import tensorflow as tf


def main() -> None:
    folder = Path(sys.argv[1])
    keras.utils.set_random_seed(3)
    image = np.random.default_rng(0).random((1, 64, 48, 3)).astype(np.float32)
    np.save(folder / "image.npy", image)
    for name, model in {"unet": unet(), "normalised": normalised()}.items():
        shake(model)
        raw = keras.Model(model.inputs, model.get_layer("raw").output)
        np.savez(folder / f"{name}.npz", classes=raw(image))
        model.save(folder / f"{name}.keras")
    model = unet()
    model.save(folder / "unet.h5")
    raw = keras.Model(model.inputs, model.get_layer("raw").output)
    np.savez(folder / "h5.npz", classes=raw(image))
    model.export(folder / "saved", verbose=False)
    model.save_weights(folder / "unet.weights.h5")
    model = grids()
    model.save(folder / "grids.keras")
    np.savez(folder / "grids.npz", **model(image))
    model = ssd()
    model.save(folder / "ssd.keras")
    raw = keras.Model(model.inputs, model.get_layer("logits").output)
    np.savez(folder / "ssd.npz", scores=raw(image), boxes=model(image)["boxes"])
    code = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Lambda(lambda x: x / 255)])
    code.save(folder / "lambda.keras")
    code.save(folder / "lambda.h5")
    detector(folder / "detector")
    suppressed(folder / "suppressed", tf.image.combined_non_max_suppression)
    suppressed(folder / "suppressed_alone", alone)
    unknown(folder / "unknown")
    for name, model in own_inputs().items():
        image = np.random.default_rng(1).integers(0, 256, (1, *model.input_shape[1:]))
        np.save(folder / f"{name}.npy", image.astype(np.float32))
        shake(model)
        model.save(folder / f"{name}.keras")
        np.save(folder / f"{name}.expected.npy", model.predict(image.astype(np.float32), verbose=0))
    keras_2(folder)
    optimised(folder / "optimised")


def shake(model) -> None:
    """Give batch normalisation other statistics than zero and one."""
    random = np.random.default_rng(5)
    for layer in model.layers:
        if layer.__class__.__name__ == "BatchNormalization":
            layer.set_weights(
                [random.uniform(0.5, 1.5, part.shape) for part in layer.get_weights()]
            )


def unet():
    layers = keras.layers
    image = layers.Input((64, 48, 3), name="image")
    fine = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    coarse = layers.Conv2D(16, 3, padding="same")(layers.MaxPooling2D()(fine))
    coarse = layers.ReLU()(layers.BatchNormalization()(coarse))
    up = layers.Conv2DTranspose(8, 2, strides=2)(coarse)
    joined = layers.Concatenate()([up, fine])
    raw = layers.Conv2D(1, 1, name="raw")(joined)
    mask = layers.Activation("sigmoid")(raw)
    return keras.Model(image, layers.Reshape((64 * 48,))(mask))


def normalised():
    """Return a segmenter of three classes for any size, which normalises its input itself."""
    layers = keras.layers
    image = layers.Input((None, None, 3), name="image")
    scaled = layers.Rescaling([1 / 127.5, 1 / 63.75, 1 / 127.5], offset=[-1, -2, 0.5])(image)
    fine = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(scaled)
    raw = layers.Conv2D(3, 1, name="raw")(fine)
    return keras.Model(image, layers.Softmax()(raw))


def own_inputs():
    """Return segmenters that do something to their image first, by what it is."""
    layers = keras.layers
    statistics = {"mean": [0.4, 0.45, 0.48], "variance": [0.05, 0.06, 0.07]}
    means = np.array([103.939, 116.779, 123.68], np.float32)
    inner = keras.Sequential([layers.Input((32, 40, 3)), layers.Conv2D(4, 3, padding="same")])
    return {
        "valid": segmenter([layers.Rescaling(1 / 127.5, -1)], padding="valid"),
        "normalisation": segmenter([layers.Rescaling(1 / 255), layers.Normalization(**statistics)]),
        "statistics": segmenter([layers.BatchNormalization()]),
        "caffe": segmenter([lambda image: image[..., ::-1] - means]),
        "swap": segmenter([lambda image: keras.ops.flip(image, -1), layers.Rescaling(1 / 255)]),
        "resizing": segmenter([layers.Resizing(16, 24), layers.Rescaling(1 / 255)]),
        "pooling": segmenter([layers.AveragePooling2D(2)]),
        "focus": segmenter([layers.Rescaling(1 / 255), focus]),
        "grey": segmenter([layers.Rescaling(1 / 255)], channels=1),
        "wrapped": keras.Sequential(
            [layers.Input((32, 40, 3)), layers.Rescaling(1 / 255), inner, scores()]
        ),
    }


def segmenter(steps, *, padding="same", channels=3):
    """Return a segmenter whose 48 filters divide by three, behind these steps."""
    entry = image = keras.Input((32, 40, channels))
    for step in steps:
        image = step(image)
    first = keras.layers.Conv2D(48, 3, strides=2, padding=padding, activation="relu")
    return keras.Model(entry, scores()(first(image)))


def scores():
    return keras.layers.Conv2D(2, 1, activation="softmax")


def focus(image):
    parts = [image[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
    return keras.ops.concatenate(parts, -1)


def keras_2(folder: Path) -> None:
    """Write an HDF5 file whose depthwise convolution has the argument that Keras 2 wrote."""
    entry = keras.Input((32, 40, 3))
    image = keras.layers.DepthwiseConv2D(3, padding="same")(entry)
    keras.Model(entry, scores()(image)).save(folder / "keras_2.h5")
    with h5py.File(folder / "keras_2.h5", "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "DepthwiseConv2D":
                layer["config"]["groups"] = 1
        file.attrs["model_config"] = json.dumps(config)


def optimised(folder: Path) -> None:
    """Write a SavedModel with the slots of an optimizer of TensorFlow 1, and an input of bytes."""
    module = tf.Module()
    module.kernel = tf.Variable(tf.random.stateless_normal((3, 3, 3, 2), (1, 2)))
    module.optimizer = tf.compat.v1.train.AdamOptimizer()
    module.optimizer.minimize(lambda: tf.reduce_sum(module.kernel**2))

    @tf.function(input_signature=[tf.TensorSpec((None, 32, 40, 3), tf.uint8, name="image")])
    def serve(image):
        image = tf.image.convert_image_dtype(image, tf.float32)
        return {"mask": tf.nn.softmax(tf.nn.conv2d(image, module.kernel, 1, "SAME"))}

    tf.saved_model.save(module, str(folder), signatures=serve)


def grids():
    layers = keras.layers
    image = layers.Input((64, 48, 3), name="image")
    fine = layers.Conv2D(8, 3, strides=8, padding="same", activation="relu")(image)
    coarse = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(fine)
    outputs = {"coarse": layers.Conv2D(2 * 7, 1)(coarse)}
    outputs["fine"] = layers.Reshape((8, 6, 2, 7))(layers.Conv2D(2 * 7, 1)(fine))
    return keras.Model(image, outputs)


def ssd():
    layers = keras.layers
    image = layers.Input((64, 48, 3), name="image")
    map_ = layers.Conv2D(8, 3, strides=16, padding="same", activation="relu")(image)
    boxes = layers.Reshape((4 * 3 * 2, 4), name="flat")(layers.Conv2D(8, 1)(map_))
    logits = layers.Reshape((4 * 3 * 2, 3), name="logits")(layers.Conv2D(6, 1)(map_))
    return keras.Model(image, {"boxes": boxes, "scores": layers.Activation("sigmoid")(logits)})


def detector(folder: Path) -> None:
    """Write a SavedModel with the node names of the Object Detection API's version 2 exporter."""
    module = tf.Module()
    module.kernel = tf.Variable(tf.random.stateless_normal((16, 16, 3, 14), (1, 2)))

    # Not all of it is used by the cut: resize, decode and the rest are what is cut off.
    @tf.function(input_signature=[tf.TensorSpec((1, None, None, 3), tf.uint8, name="input_tensor")])
    def serve(image):
        return inner(image)

    @tf.function
    def inner(image):
        with tf.name_scope("Preprocessor"):
            resized = tf.image.resize(tf.cast(image, tf.float32), (64, 48))
            normal = tf.subtract(tf.multiply(2 / 255, resized), 1.0, name="sub")
        maps = tf.nn.conv2d(normal, module.kernel, 16, "SAME")
        boxes = tf.reshape(maps[..., :8], (1, 24, 4), name="raw_boxes")
        logits = tf.reshape(maps[..., 8:], (1, 24, 3), name="raw_logits")
        with tf.name_scope("Postprocessor"):
            scores = tf.nn.sigmoid(logits, name="convert_scores")
            flat = tf.reshape(boxes, (-1, 4))
            with tf.name_scope("Decode"):
                return {"boxes": decoded(flat), "scores": scores}

    tf.saved_model.save(module, str(folder), signatures=serve)


ANCHORS_PX = {8: ((10, 13), (16, 30)), 16: ((33, 23), (62, 45))}


def suppressed(folder: Path, suppress) -> None:
    """Write a YOLOv3 whose boxes are decoded and suppressed, as SavedModels of it are."""
    module = tf.Module()
    module.kernels = {
        str(stride): tf.Variable(tf.random.stateless_normal((stride, stride, 3, 16), (stride, 2)))
        for stride in ANCHORS_PX
    }

    @tf.function(input_signature=[tf.TensorSpec((None, 64, 48, 3), tf.float32, name="image")])
    def serve(image):
        boxes, scores = [], []
        for stride, anchors in ANCHORS_PX.items():
            grid = tf.nn.conv2d(image, module.kernels[str(stride)], stride, "SAME")
            _, rows, columns, _ = grid.shape
            grid = tf.reshape(grid, (-1, rows, columns, 2, 8))
            place = tf.stack(tf.meshgrid(tf.range(columns), tf.range(rows)), -1)[:, :, None]
            centre = (tf.sigmoid(grid[..., :2]) + tf.cast(place, tf.float32)) / (columns, rows)
            half = tf.exp(grid[..., 2:4]) * np.float32(anchors) / (2 * 48, 2 * 64)
            corners = tf.concat([centre - half, centre + half], -1)
            boxes.append(tf.reshape(corners, (-1, rows * columns * 2, 1, 4)))
            share = tf.sigmoid(grid[..., 4:5]) * tf.sigmoid(grid[..., 5:])
            scores.append(tf.reshape(share, (-1, rows * columns * 2, 3)))
        found = suppress(tf.concat(boxes, 1), tf.concat(scores, 1), 10, 10)
        return dict(zip(("boxes", "scores", "classes", "count"), found, strict=False))

    tf.saved_model.save(module, str(folder), signatures=serve)


def alone(boxes, scores, count, _total):
    best = tf.reduce_max(scores[0], -1)
    kept = tf.image.non_max_suppression(boxes[0, :, 0], best, count)
    return tf.gather(boxes[0, :, 0], kept), tf.gather(scores[0], kept)


def unknown(folder: Path) -> None:
    """Write a segmenter with an operation that TensorFlow Lite does not have."""
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec((1, 8, 8, 3), tf.float32, name="image")])
    def serve(image):
        return {"mask": tf.math.igamma(image + 1, image + 1)}

    tf.saved_model.save(module, str(folder), signatures=serve)


def decoded(flat):
    """Return boxes as `faster_rcnn_box_coder.py` decodes them: corners of the anchors first."""
    rows, columns = tf.meshgrid(tf.range(4.0) / 4, tf.range(3.0) / 3, indexing="ij")
    low = tf.repeat(tf.reshape(tf.stack([rows, columns], -1), (12, 2)), 2, axis=0)
    corners = tf.concat([low, tf.add(low, [[0.25, 1 / 3]])], 1)
    with tf.name_scope("get_center_coordinates_and_sizes"):
        ymin, xmin, ymax, xmax = tf.unstack(tf.transpose(corners, name="transpose"))
    height, width = ymax - ymin, xmax - xmin
    ty, tx, th, tw = tf.unstack(tf.transpose(flat, name="transpose"), name="unstack")
    ty, tx, th, tw = ty / 10.0, tx / 10.0, th / 5.0, tw / 5.0
    centre_y, centre_x = ty * height + ymin + height / 2, tx * width + xmin + width / 2
    return tf.stack([centre_y, centre_x, tf.exp(th) * height, tf.exp(tw) * width], 1)


if __name__ == "__main__":
    main()
