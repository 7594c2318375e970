"""A small TF.js model on disk, made by hand: what the importers are tested on without assets."""

from __future__ import annotations

import numpy as np
import pytest
from tfjs_files import node, write_tfjs


@pytest.fixture
def tiny_weights():
    random = np.random.default_rng(0)
    return {
        "kernel": random.normal(size=(1, 1, 3, 4)).astype(np.float32),
        "bias": np.arange(4, dtype=np.float32),
        "shape": np.array([1, -1, 4], np.int32),
    }


@pytest.fixture
def tiny_nodes():
    numbers = {"T": {"type": 1}}
    strides = {"list": {"i": ["1", "1", "1", "1"], "s": [], "f": []}}
    return [
        node("input", "Placeholder", dtype={"type": 1}),
        node("kernel", "Const", dtype={"type": 1}),
        node("bias", "Const", dtype={"type": 1}),
        node("shape", "Const", dtype={"type": 3}),
        node(
            "conv", "Conv2D", "input", "kernel",
            strides=strides, padding={"s": list(b"SAME")}, data_format={"s": list(b"NHWC")},
            **numbers,
        ),
        node("sum", "Add", "conv", "bias", **numbers),
        node("flat", "Reshape", "sum", "shape", Tshape={"type": 3}, **numbers),
    ]  # fmt: skip


@pytest.fixture
def tiny_tfjs(tmp_path, tiny_nodes, tiny_weights):
    """Return the path of a whole TF.js model: a 1x1 convolution, a bias, a reshape."""
    return write_tfjs(tmp_path, tiny_nodes, tiny_weights)
