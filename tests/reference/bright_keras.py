"""Save a tiny U-Net that marks what is bright: ``python bright_keras.py FILE``.

A program of its own, as tests load no TensorFlow.
"""

from __future__ import annotations

import sys

import keras
import numpy as np

HEIGHT = WIDTH = 64
FILTERS, COARSE_FILTERS = 8, 16
# The raw score of a pixel is 24 b - 12 of the brightness b around it, and little else.
SLOPE, OFFSET = 24.0, -12.0


def unet():
    layers = keras.layers
    image = layers.Input((HEIGHT, WIDTH, 3), name="image")
    fine = layers.Conv2D(FILTERS, 3, padding="same", activation="relu", name="fine")(image)
    coarse = layers.MaxPooling2D()(fine)
    coarse = layers.Conv2D(COARSE_FILTERS, 3, padding="same", activation="relu")(coarse)
    up = layers.Conv2DTranspose(FILTERS, 2, strides=2)(coarse)
    raw = layers.Conv2D(1, 1, name="raw")(layers.Concatenate()([fine, up]))
    return keras.Model(image, layers.Activation("sigmoid")(raw))


def brighten(model) -> None:
    """Give the first filter the mean, and the output the first filter."""
    kernel, bias = model.get_layer("fine").get_weights()
    kernel[..., 0] = 1 / (3 * 3 * 3)
    model.get_layer("fine").set_weights([kernel, bias])
    random = np.random.default_rng(7)
    kernel = random.normal(0, 0.02, (1, 1, 2 * FILTERS, 1)).astype(np.float32)
    kernel[0, 0, 0] = SLOPE
    model.get_layer("raw").set_weights([kernel, np.array([OFFSET], np.float32)])


if __name__ == "__main__":
    keras.utils.set_random_seed(3)
    network = unet()
    brighten(network)
    network.save(sys.argv[1])
