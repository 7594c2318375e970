"""What a channel is worth to the outputs, by gradients: the second order of the distillation loss.

At the teacher itself the loss is least and has no slope. What is left of Taylor's series is its
second order: the squared change of the outputs, over their power, when a channel becomes
zero. It is found with random signs in place of the outputs' many gradients.

Source: Molchanov et al. 2019, "Importance Estimation for Neural Network Pruning", eq. 8 (products
of weight and gradient, summed over a filter); Hutchinson 1990 for the signs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from converter.prune.criteria import by_makers
from converter.quantize.running import prepared
from converter.train.twin.building import build

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from converter.prune.channels import Channels
    from converter.prune.planning import Order
    from edge.model.model_file import ModelFile

IMAGES, DRAWS = 8, 4
TINY = 1e-6


def by_taylor(file: ModelFile, images: Sequence[Path]) -> Callable[[Channels], Order]:
    """Return a criterion of a model's graphs, cut or not.

    Args:
        file: The whole float model.
        images: The first few are run.
    """
    inputs = prepared(images[:IMAGES], file.description.input)

    def criterion(channels: Channels) -> Order:
        graph = channels.graph
        twin = build(graph)
        used = {use.op.output for use in channels.uses if use.place == 1 and use.axis == 0}
        held = {name: twin.layers[name].held for name in used}
        random = np.random.default_rng(0)
        total = {name: np.zeros(graph.shape(name)[-1]) for name in used}
        for (values,) in inputs:
            for _ in range(DRAWS):
                with tf.GradientTape() as tape:
                    found = twin.model(values)
                    outputs = [found[name] for name in graph.outputs]
                    signs = [random.choice((-1.0, 1.0), each.shape) for each in outputs]
                    loss = keras.ops.sum(
                        [keras.ops.sum(a * b) / max(float(np.linalg.norm(np.asarray(a))), TINY)
                         for a, b in zip(outputs, signs, strict=True)]
                    )  # fmt: skip
                slopes_of = tape.gradient(
                    loss, {name: [each.value for each in held[name]] for name in used}
                )
                for name in used:
                    products = [
                        np.asarray(keras.ops.convert_to_numpy(value * slope))
                        for value, slope in zip(held[name], slopes_of[name], strict=True)
                        if slope is not None
                    ]
                    total[name] += np.square(
                        sum(one.reshape(len(one), -1).sum(axis=1) for one in products)
                    )
        return by_makers(channels, total)

    return criterion
