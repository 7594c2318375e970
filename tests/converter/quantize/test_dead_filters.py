"""A filter without weights keeps its bias through either quantiser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reference import tiny_net

from calibration.observe import TappedModel
from converter import flatbuffer as fb
from converter.quantize.dead_filters import with_live_filters
from converter.quantize.quantize import quantize
from converter.quantize.recipe import load_recipe
from edge.model.backends.litert import open_interpreter

pytestmark = pytest.mark.converter
BIAS = 3.0


def net_with_dead_filters():
    """Return the tiny net, the first filter of `boxes` and the last of `deep` without weights."""
    model = fb.unpack(tiny_net.build("RELU"))
    for tensor in model.subgraphs[0].tensors:
        part = {b"boxes": np.s_[0], b"deep": np.s_[..., -1]}.get(tensor.name.partition(b"/")[0])
        if part is not None and b"/" in tensor.name:
            buffer = model.buffers[tensor.buffer]
            values = np.frombuffer(bytes(buffer.data), np.float32).reshape(tensor.shape).copy()
            values[part] = BIAS if tensor.name.endswith(b"bias") else 0
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    return fb.pack(model)


def taps_of(net):
    return dict(TappedModel(net, tiny_net.TRANSFORM).run(tiny_net.images()[0]))


@pytest.mark.parametrize("name", ["int8", "int16x8"])
def test_a_dead_filter_still_gives_its_bias(name):
    net = net_with_dead_filters()
    made = quantize(net, tiny_net.ranges(net), load_recipe(name), path=Path("n.tflite"))

    runtime = open_interpreter(made.flatbuffer, Path("n.tflite"), threads=1)
    runtime.invoke()

    (boxes,) = [row for row in runtime.get_output_details() if row["name"] == "boxes"]
    scale, zero = boxes["quantization"]
    found = (runtime.get_tensor(boxes["index"])[..., 0].astype(float) - zero) * scale
    np.testing.assert_allclose(found, BIAS, atol=max(scale, BIAS / 60))


def test_the_tiny_weight_moves_the_float_net_by_less_than_a_thousandth_of_the_bias():
    net = net_with_dead_filters()
    live = with_live_filters(net, tiny_net.ranges(net))

    before, after = taps_of(net), taps_of(live)

    assert live != net
    for name in ("boxes", "deep", "scores"):
        assert np.abs(before[name] - after[name]).max() < BIAS / 1000


def test_a_net_without_dead_filters_is_handed_on_as_it_is():
    net = tiny_net.build("RELU")

    assert with_live_filters(net, tiny_net.ranges(net)) is net
