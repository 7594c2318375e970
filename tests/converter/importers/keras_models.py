"""Make tiny Keras models of every format in a child process, as tests load no TensorFlow.

Run as ``python keras_models.py FOLDER``: writes the models, `image.npy` `(1, 64, 48, 3)` float32 in
0..1, and what Keras gives for it, `NAME.npz`.
"""

from __future__ import annotations

import sys
from pathlib import Path

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
