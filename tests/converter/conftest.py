"""Small models on disk, made by hand: a TF.js file for the importers, a float model of ours."""

from __future__ import annotations

import numpy as np
import pytest
from tfjs_files import node, write_tfjs


@pytest.fixture
def float_model(tmp_path):
    """Return the path of a float SSD that finds bright squares."""
    from reference import bright_net  # noqa: PLC0415 - a board's tests lack what it needs

    from converter import export  # noqa: PLC0415

    path = tmp_path / "bright.tflite"
    export.write(bright_net.model_file(), path)
    return path


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
