"""Convolutions come before a resize where that is the same function for less work."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawn_nets import SHAPE, Net

from converter.graph.late_resizes import with_late_resizes
from converter.quantize.running import tapped

LARGE, LARGER = (16, 12), (31, 25)


def kinds(graph):
    return [op.kind for op in graph.ops]


def output_of(graph):
    image = np.random.default_rng(1).normal(0, 1, SHAPE).astype(np.float32)
    ((found,),) = tapped(graph, graph.outputs, [[image]])
    return found


def resized(net, value, size_hw=LARGE, *, kind="RESIZE_BILINEAR", **options):
    return net.builder.resize(kind, value, size_hw, **options)


@pytest.mark.parametrize(
    "options", [{}, {"half_pixel": True}, {"align_corners": True}], ids=lambda found: str([*found])
)
def test_a_head_comes_before_all_the_resizes_that_only_it_reads(options):
    net = Net()
    small = net.conv("image", 16)
    large = resized(net, resized(net, small, **options), LARGER, **options)
    graph = net.close(large)

    made = with_late_resizes(graph)

    assert kinds(made) == ["CONV_2D", "CONV_2D", "RESIZE_BILINEAR", "RESIZE_BILINEAR"]
    assert [made.shape(op.output) for op in made.ops[1:]] == [
        (1, *SHAPE[1:3], 5), (1, *LARGE, 5), (1, *LARGER, 5),
    ]  # fmt: skip
    assert made.outputs == graph.outputs
    assert output_of(made) == pytest.approx(output_of(graph), abs=1e-5)


def read_twice(net, value):
    large = resized(net, value)
    return net.builder.concat([net.conv(large, 5, kernel=1), large], 3)


STAY = {
    "an activation": lambda net, value: net.relu(net.conv(resized(net, value), 5, kernel=1)),
    "neighbours": lambda net, value: net.conv(resized(net, value), 5),
    "steps": lambda net, value: net.conv(resized(net, value), 5, kernel=1, stride=2),
    "more channels": lambda net, value: net.conv(resized(net, value), 17, kernel=1),
    "another reader": read_twice,
    "a smaller map": lambda net, value: net.conv(resized(net, value, (4, 3)), 5, kernel=1),
    "the nearest": lambda net, value: net.conv(
        resized(net, value, kind="RESIZE_NEAREST_NEIGHBOR"), 5, kernel=1
    ),
    "no convolution": lambda net, value: net.relu(resized(net, value)),
}


@pytest.mark.parametrize("block", STAY.values(), ids=STAY)
def test_what_would_be_another_function_or_more_work_stays(block):
    net = Net()
    graph = net.builder.graph([block(net, net.conv("image", 16))])
    assert with_late_resizes(graph) is graph


def test_a_map_that_is_an_output_itself_stays():
    net = Net()
    large = resized(net, net.conv("image", 16))
    graph = net.close(large)
    graph = replace(graph, outputs=(*graph.outputs, large))
    assert with_late_resizes(graph) is graph
