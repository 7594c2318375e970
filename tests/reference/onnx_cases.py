"""ONNX models of one operation or few, in each of its modes, small enough to read."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

IMAGE = (1, 4, 9, 8)
RANDOM = np.random.default_rng(4)
OPSET = 17


def numbers(*shape, positive=False):
    made = RANDOM.normal(size=shape).astype(np.float32)
    return np.abs(made) + 0.1 if positive else made


def integers(*values):
    return np.array(values, np.int64)


def one(kind, *constants, opset=OPSET, shape=IMAGE, outputs=1, **attrs):
    """Return a case: a node that reads the image and constants; `None` leaves an input out."""
    names = ["" if value is None else f"c{place}" for place, value in enumerate(constants)]
    node = helper.make_node(kind, ["image", *names], [f"o{n}" for n in range(outputs)], **attrs)
    stored = {name: value for name, value in zip(names, constants, strict=True) if name}
    return [node], stored, {"opset": opset, "shape": shape}


def chain(*nodes, constants=None, opset=OPSET, shape=IMAGE):
    """Return a case of nodes `kind inputs outputs` with attributes."""
    made = [helper.make_node(kind, inputs.split(), outputs.split(), **attrs)
            for kind, inputs, outputs, attrs in nodes]  # fmt: skip
    return made, constants or {}, {"opset": opset, "shape": shape}


def written(case, *, as_inputs=False):
    nodes, constants, options = case
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, options["shape"])]
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    if as_inputs:
        inputs += [helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in stored]
    read = {name for node in nodes for name in node.input}
    outputs = [name for node in nodes for name in node.output if name not in read]
    graph = helper.make_graph(
        nodes,
        "net",
        inputs,
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        stored,
    )
    opsets = [helper.make_opsetid("", options["opset"])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def conv_transpose(**attrs):
    groups = attrs.get("group", 1)
    return one("ConvTranspose", numbers(4, 6 // groups, 3, 3), numbers(6), **attrs)


def resize(mode, where, *, scales=(2, 2), rounding=None, sizes=None, opset=OPSET):
    attrs = {"mode": mode, "coordinate_transformation_mode": where}
    if rounding:
        attrs["nearest_mode"] = rounding
    if sizes:
        return one("Resize", None, None, integers(1, 4, *sizes), opset=opset, **attrs)
    return one("Resize", None, np.array([1, 1, *scales], np.float32), opset=opset, **attrs)


def pad(mode, pads, *more):
    return one("Pad", integers(*pads), *more, mode=mode)


SIDES = (0, 0, 1, 2, 0, 0, 3, 1)
PAIR = {"kernel_shape": [3, 3]}
ERF = [("Div", "image root", "a", {}), ("Erf", "a", "b", {}), ("Add", "b one", "c", {})]
ERF_NUMBERS = {
    "root": np.array(2**0.5, np.float32),
    "one": np.array(1, np.float32),
    "half": np.array(0.5, np.float32),
}
CASES = {
    "abs": one("Abs"),
    "argmax": one("ArgMax", axis=1),
    "argmax, axis dropped": one("ArgMax", axis=1, keepdims=0),
    "argmax as floats": chain(
        ("ArgMax", "image", "a", {"axis": 1}), ("Cast", "a", "b", {"to": 1}),
        ("Mul", "b c", "o", {}), constants={"c": np.float32(0.5)},
    ),
    "elu": one("Elu"),
    "elu of another alpha": one("Elu", alpha=0.3),
    "exp": one("Exp"),
    "neg": one("Neg"),
    "softplus": one("Softplus"),
    "mish": one("Mish", opset=18),
    "gelu": one("Gelu", opset=20),
    "gelu by tanh": one("Gelu", opset=20, approximate="tanh"),
    "gelu of erf, half last": chain(
        *ERF, ("Mul", "image c", "d", {}), ("Mul", "d half", "e", {}), constants=ERF_NUMBERS
    ),
    "gelu of erf, half first": chain(
        *ERF, ("Mul", "image half", "d", {}), ("Mul", "d c", "e", {}), constants=ERF_NUMBERS
    ),
    "leaky relu": one("LeakyRelu", alpha=0.2),
    "prelu a channel": one("PRelu", numbers(4, 1, 1)),
    "prelu for all": one("PRelu", numbers(1)),
    "clip to 6": one("Clip", np.float32(0), np.float32(6)),
    "clip on both sides": one("Clip", np.float32(-0.5), np.float32(0.7)),
    "clip below": one("Clip", np.float32(0)),
    "clip of old": one("Clip", opset=6, min=-0.5, max=0.5),
    "hard sigmoid": one("HardSigmoid", alpha=0.3, beta=0.4),
    "hard sigmoid of one sixth": one("HardSigmoid", alpha=1 / 6, beta=0.5),
    "hard swish": one("HardSwish"),
    "batch normalisation alone": one(
        "BatchNormalization", numbers(4), numbers(4), numbers(4), numbers(4, positive=True)
    ),
    "sum of a row": one("Add", numbers(8)),
    "product a channel": one("Mul", numbers(4, 1, 1)),
    "a number less the image": chain(
        ("Sub", "c image", "o", {}), constants={"c": np.float32(2)}
    ),
    "power": chain(("Abs", "image", "a", {}), ("Pow", "a c", "o", {}),
        constants={"c": np.float32(2)}),
    "convolution of one side padded": one("Conv", numbers(6, 4, 3, 3), pads=[0, 1, 2, 0], **PAIR),
    "convolution of stride 2": one(
        "Conv", numbers(6, 4, 3, 3), numbers(6), pads=[1, 1, 1, 1], strides=[2, 2], **PAIR
    ),
    "convolution, dilated": one(
        "Conv", numbers(6, 4, 3, 3), pads=[2, 2, 2, 2], dilations=[2, 2], **PAIR
    ),
    "convolution in groups": one("Conv", numbers(6, 2, 3, 3), numbers(6), group=2, **PAIR),
    "convolution, depthwise by 2": one(
        "Conv", numbers(8, 1, 3, 3), group=4, dilations=[1, 2], pads=[1, 2, 1, 2], **PAIR
    ),
    "convolution, same upper": one(
        "Conv", numbers(6, 4, 2, 2), auto_pad="SAME_UPPER", strides=[2, 2]
    ),
    "convolution, same lower": one(
        "Conv", numbers(6, 4, 2, 2), auto_pad="SAME_LOWER", strides=[2, 2]
    ),
    "transposed": conv_transpose(),
    "transposed, doubled": conv_transpose(strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]),
    "transposed, less one": conv_transpose(strides=[2, 2], pads=[1, 1, 1, 1]),
    "transposed, cut on one side": conv_transpose(strides=[2, 2], pads=[0, 1, 2, 0]),
    "transposed, padded beyond": conv_transpose(strides=[3, 3], output_padding=[2, 2]),
    "transposed in groups": conv_transpose(strides=[2, 2], pads=[1, 1, 1, 1], group=2),
    "transposed, dilated": conv_transpose(strides=[2, 2], dilations=[2, 2]),
    "transposed, same": conv_transpose(strides=[2, 2], auto_pad="SAME_UPPER"),
    "transposed to a shape": conv_transpose(strides=[2, 2], output_shape=[18, 16]),
    "transposed by 4 in 2": one(
        "ConvTranspose", numbers(4, 6, 4, 4), strides=[2, 2], pads=[1, 1, 1, 1]
    ),
    "maximum": one("MaxPool", strides=[2, 2], pads=[1, 1, 1, 1], **PAIR),
    "maximum, dilated": one("MaxPool", dilations=[2, 3], pads=[1, 2, 1, 2], **PAIR),
    "maximum, padded wide": one("MaxPool", pads=[2, 2, 2, 2], **PAIR),
    "maximum, rounded up": one("MaxPool", strides=[2, 2], ceil_mode=1, **PAIR),
    "maximum of 5 in 1": one("MaxPool", pads=[2] * 4, kernel_shape=[5, 5]),
    "mean": one("AveragePool", strides=[2, 2], **PAIR),
    "mean, padding left out": one("AveragePool", strides=[2, 2], pads=[1, 1, 1, 1], **PAIR),
    "mean, padding counted": one("AveragePool", pads=[1, 1, 1, 1], count_include_pad=1, **PAIR),
    "mean, one side padded": one("AveragePool", strides=[2, 2], pads=[1, 0, 0, 1], **PAIR),
    "mean, rounded up": one("AveragePool", strides=[2, 2], ceil_mode=1, **PAIR),
    "mean over all": one("GlobalAveragePool"),
    "maximum over all": one("GlobalMaxPool"),
    "reduced to rows": one("ReduceMean", axes=[3], keepdims=0),
    "reduced to channels": one("ReduceMax", axes=[2, 3]),
    "reduced, axes as an input": one("ReduceMean", integers(-1, 2), opset=18),
    "length of channels": one("ReduceL2", axes=[1]),
    "padded by a number": pad("constant", SIDES, np.float32(0.5)),
    "padded by zero": pad("constant", SIDES),
    "padded by the edge": pad("edge", SIDES),
    "padded by a mirror": pad("reflect", SIDES),
    "padded channels": pad("constant", (0, 1, 0, 0, 0, 2, 0, 0)),
    "padded of old": one("Pad", opset=9, mode="constant", pads=list(SIDES), value=0.0),
    "nearest, whole factors": resize("nearest", "asymmetric", rounding="floor"),
    "nearest, half pixel": resize("nearest", "half_pixel"),
    "nearest, by 1.5": resize("nearest", "half_pixel", scales=(1.5, 1.5)),
    "nearest, ceil": resize("nearest", "asymmetric", scales=(1.5, 2.5), rounding="ceil"),
    "nearest, round up": resize("nearest", "asymmetric", rounding="round_prefer_ceil"),
    "nearest, corners": resize("nearest", "align_corners", sizes=(17, 15)),
    "nearest, smaller": resize("nearest", "half_pixel", sizes=(4, 3)),
    "linear, half pixel": resize("linear", "half_pixel"),
    "linear, half pixel of torch": resize("linear", "pytorch_half_pixel", sizes=(1, 5)),
    "linear, corners": resize("linear", "align_corners", sizes=(17, 15)),
    "linear, asymmetric": resize("linear", "asymmetric"),
    "linear, by 1.3": resize("linear", "half_pixel", scales=(1.3, 1.7)),
    "linear, smaller": resize("linear", "half_pixel", sizes=(4, 3)),
    "linear, symmetric": resize("linear", "half_pixel_symmetric", scales=(1.3, 1.7), opset=19),
    "upsampled of old": one("Upsample", np.array([1, 1, 2, 2], np.float32), opset=9),
    "resized of old": one("Resize", np.array([1, 1, 2, 2], np.float32), opset=10, mode="linear"),
    "softmax over channels": one("Softmax", axis=1),
    "softmax over rows": one("Softmax", axis=2),
    "softmax of old over all": one("Softmax", axis=1, opset=11),
    "log softmax": one("LogSoftmax", axis=1),
    "split evenly": one("Split", outputs=2, axis=1, opset=11),
    "split in parts": one("Split", integers(1, 3), outputs=2, axis=1),
    "slice with steps": one("Slice", integers(1, 0), integers(9, 100), integers(2, 3),
                            integers(2, 3)),
    "slice backwards": one("Slice", integers(-1), integers(-100), integers(1), integers(-1)),
    "slice of old": one("Slice", opset=9, starts=[1], ends=[3], axes=[1]),
    "channels picked": one("Gather", integers(2, 0, -1), axis=1),
    "one row picked": one("Gather", np.array(3, np.int64), axis=2),
    "repeated": one("Tile", integers(1, 2, 1, 3)),
    "expanded": chain(
        ("GlobalAveragePool", "image", "a", {}), ("Expand", "a s", "o", {}),
        constants={"s": integers(1, 4, 3, 2)},
    ),
    "depth to space": one("DepthToSpace", blocksize=2),
    "depth to space, columns first": one("DepthToSpace", blocksize=2, mode="CRD"),
    "space to depth": one("SpaceToDepth", shape=(1, 3, 8, 6), blocksize=2),
    "flattened and multiplied": chain(
        ("GlobalAveragePool", "image", "a", {}), ("Flatten", "a", "b", {}),
        ("Gemm", "b w v", "o", {"transB": 1, "alpha": 0.5, "beta": 2.0}),
        constants={"w": numbers(5, 4), "v": numbers(5)},
    ),
    "flattened whole": chain(("Flatten", "image", "o", {})),
    "matrices": chain(
        ("Transpose", "image", "a", {"perm": [0, 1, 3, 2]}), ("MatMul", "image a", "o", {})
    ),
    "matrix of weights": chain(("MatMul", "image w", "o", {}), constants={"w": numbers(8, 5)}),
    "channels shuffled": chain(
        ("Reshape", "image s", "a", {}), ("Transpose", "a", "b", {"perm": [0, 2, 1, 3, 4]}),
        ("Reshape", "b t", "c", {}), ("Relu", "c", "o", {}),
        constants={"s": integers(1, 2, 2, 9, 8), "t": integers(1, 4, 9, 8)},
    ),
    "squeezed and back, of old": chain(
        ("GlobalMaxPool", "image", "a", {}), ("Squeeze", "a", "b", {"axes": [2, 3]}),
        ("Unsqueeze", "b", "c", {"axes": [2, 3]}), ("Mul", "image c", "o", {}), opset=11,
    ),
    "joined at rows": chain(("Concat", "image image", "o", {"axis": 2})),
    "joined with a constant": chain(
        ("Concat", "image c", "o", {"axis": 1}), constants={"c": numbers(1, 2, 9, 8)}
    ),
    "size computed by the opset of old": chain(
        ("Shape", "image", "s", {}), ("Gather", "s two", "h", {}),
        ("Unsqueeze", "h", "u", {"axes": [0]}), ("Concat", "one c u minus", "t", {"axis": 0}),
        ("Reshape", "image t", "r", {}), ("Relu", "r", "o", {}), opset=11,
        constants={"two": np.array(2, np.int64), "one": integers(1), "c": integers(4),
                   "minus": integers(-1)},
    ),
    "channels last": chain(
        ("Transpose", "image", "a", {"perm": [0, 3, 1, 2]}), ("Relu", "a", "b", {}),
        ("Transpose", "b", "o", {"perm": [0, 2, 3, 1]}), shape=(1, 9, 8, 3),
    ),
}  # fmt: skip


# A batch normalisation and its activation are one op with the convolution before.
NORMALISED = chain(
    ("Conv", "image w", "a", {"kernel_shape": [3, 3], "strides": [2, 2]}),
    ("BatchNormalization", "a s b m v", "c", {}),
    ("Relu", "c", "o", {}),
    constants={"w": numbers(6, 4, 3, 3), "s": numbers(6), "b": numbers(6), "m": numbers(6),
               "v": numbers(6, positive=True)},
)  # fmt: skip
NORMALISED_BACK = chain(
    ("ConvTranspose", "image w", "a", {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ("BatchNormalization", "a s b m v", "o", {}),
    constants={"w": numbers(4, 6, 2, 2), "s": numbers(6), "b": numbers(6), "m": numbers(6),
               "v": numbers(6, positive=True)},
)  # fmt: skip
