"""The Keras layers of a twin: one for an op with weights, one for any other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from converter.graph.fusing import WEIGHTED
from converter.train.twin.ops import ACTIVATIONS, computed
from converter.train.twin.rounding import rounded_weights
from converter.train.twin.weighted_ops import LINEAR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from converter.train.twin.statistics import Moments
    from converter.train.twin.weighted_ops import Step

    Array = NDArray[np.float32]
    Variables = Mapping[str, Any]

# Of the variance, so that a channel that is always the same divides by something.
EPSILON = 1e-5
# Of the running statistics: those of the last 10 batches or so. Of the last 30, as it was, they lag
# so far behind a net that learns from nothing that it is judged by what it was.
MOMENTUM = 0.9


class OpLayer(keras.layers.Layer):  # type: ignore[misc]
    """One op; what it reads of other ops are its arguments, in their order.

    Args:
        name: Of the layer.
        step: The op.
        variables: Of constants that train, or could, by their names.

    Attributes:
        held: Those of the op's own.
    """

    def __init__(self, name: str, step: Step, variables: Variables) -> None:
        super().__init__(name=name)
        graph = step.graph
        self.step = step
        self._places = [place for place, one in enumerate(step.op.inputs)
                        if one and not graph.is_constant(one)]  # fmt: skip
        self._values = [variables.get(one, graph.value(one)) for one in step.op.inputs]
        self.held = [value for value in self._values if isinstance(value, keras.Variable)]
        self.built = True

    def compute_output_spec(self, *_: Any, **__: Any) -> Any:  # noqa: ANN401
        """Return what is made, as the graph says it: tracing 360 ops takes minutes."""
        made = [
            keras.KerasTensor((None, *shape[1:]) if shape[:1] == (1,) else shape)
            for shape in map(self.step.graph.shape, self.step.op.outputs)
        ]
        return made if len(made) > 1 else made[0]

    def call(self, *tensors: Any, training: bool | None = None) -> Any:  # noqa: ANN401
        """Return what the op makes."""
        return self._make(self._filled(tensors), training=training)

    def _filled(self, tensors: Any) -> list[Any]:  # noqa: ANN401
        values = list(self._values)
        for place, tensor in zip(self._places, tensors, strict=True):
            values[place] = tensor
        return values

    def _make(self, values: list[Any], *, training: bool | None) -> Any:  # noqa: ANN401, ARG002
        return computed(self.step, values)


class WeightedLayer(OpLayer):
    """An op with weights; with moments, a batch normalisation in the place of its bias.

    The weights are held scaled so that each filter has the norm that He et al. 2015, "Delving Deep
    into Rectifiers", eq. 10, start with: then one rate of learning suits filters whose factors were
    folded into them.

    Args:
        name: Of the layer.
        step: The op.
        variables: By the names of its constants.
        moments: Of what it makes; `None` leaves it as it is.
        is_frozen: The normalisation keeps the statistics of the moments.
        is_rounded: The weights are those of int8.
    """

    # An op, and the three ways of having its weights.
    def __init__(  # noqa: PLR0913
        self,
        name: str,
        step: Step,
        variables: Variables,
        *,
        moments: Moments | None,
        is_frozen: bool = False,
        is_rounded: bool = False,
    ) -> None:
        super().__init__(name, step, variables)
        weights_at, bias_at, self._axis = WEIGHTED[step.op.kind]
        self.weights_name = step.op.inputs[weights_at]
        self.bias_name = step.op.inputs[bias_at] if len(step.op.inputs) > bias_at else ""
        self.kernel, self._weights_at = variables[self.weights_name], weights_at
        self.bias = variables.get(self.bias_name)
        self.norm, self._is_frozen, self._is_rounded = None, is_frozen, is_rounded
        if moments is not None:
            self.norm = self._normalisation(moments)

    def _normalisation(self, moments: Moments) -> Any:  # noqa: ANN401
        """Return the batch normalisation that changes nothing, or of a fresh op any other's.

        The former has sigma as its gamma and mu as its beta, the latter 1 and 0.
        """
        weights = np.asarray(keras.ops.convert_to_numpy(self.kernel))
        rows = np.moveaxis(weights, self._axis, 0).reshape(len(moments.mean), -1)
        norm = np.sqrt(np.square(rows).sum(axis=1))
        scale = np.where(norm > 0, np.sqrt(2) / np.maximum(norm, np.finfo(np.float32).tiny), 1)
        scale = scale.astype(np.float32)
        self.kernel.assign(weights * self._along(scale))
        bias = np.asarray(keras.ops.convert_to_numpy(self.bias))
        variance = moments.variance * scale**2
        made = keras.layers.BatchNormalization(
            momentum=MOMENTUM, epsilon=EPSILON, trainable=self.kernel.trainable, name="norm"
        )
        rank = len(self.step.graph.shape(self.step.op.output))
        made.build((*[None] * (rank - 1), len(scale)))
        if not moments.is_fresh:
            made.gamma.assign(np.sqrt(variance + EPSILON) / scale)
            made.beta.assign(moments.mean)
        made.moving_mean.assign((moments.mean - bias) * scale)
        made.moving_variance.assign(variance)
        return made

    def folded(self) -> dict[str, Array]:
        """Return the weights and the bias by the names of their tensors."""
        kernel = np.array(ops.convert_to_numpy(self.kernel), np.float32)
        if self.norm is None:
            found = {self.weights_name: kernel}
            if self.bias is not None:
                found[self.bias_name] = np.array(ops.convert_to_numpy(self.bias), np.float32)
            return found
        rows = (self.norm.gamma, self.norm.beta, self.norm.moving_mean, self.norm.moving_variance)
        gamma, beta, mean, variance = (
            np.asarray(ops.convert_to_numpy(row), np.float64) for row in rows
        )
        factor = gamma / np.sqrt(variance + EPSILON)
        return {
            self.weights_name: np.ascontiguousarray(kernel * self._along(factor), np.float32),
            self.bias_name: np.asarray(beta - mean * factor, np.float32),
        }

    def _along(self, row: NDArray[Any]) -> NDArray[Any]:
        """Return a number for each filter in the shape of the weights."""
        return row.reshape(
            [-1 if axis == self._axis else 1 for axis in range(len(self.kernel.shape))]
        )

    def _make(self, values: list[Any], *, training: bool | None) -> Any:  # noqa: ANN401
        if self._is_rounded:
            values[self._weights_at] = rounded_weights(self.kernel, self._axis)
        made = LINEAR[self.step.op.kind](self.step, values)
        if self.norm is not None:
            is_moving = training and self.norm.trainable and not self._is_frozen
            made = self.norm(made, training=is_moving)
        elif self.bias is not None:
            made = made + self.bias
        return ACTIVATIONS[self.step.op.activation](made)
