"""Small bare `.tflite` files whose outputs are plain arithmetic on their input, of any ending."""

from __future__ import annotations

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from tflite_files import Builder

from converter.graph.values import Quantisation, Tensor
from converter.graph.writing import write

SIDE = 8
FIXED_SCALE = 1 / 256  # of a softmax or sigmoid of 8 bits
UNIT, SIGNED = (1 / 255, -128), (1 / 127.5, -1)  # int8 inputs for 0..1 and for -1..1


class Bare(Builder):
    """A graph on one image; quantised where a tensor is given a scale and zero point."""

    def __init__(self, shape=(1, SIDE, SIDE, 3), *, dtype="float32", quant=None, name="image"):
        super().__init__()
        self.shape = shape
        self.image = self.quantised(name, shape, dtype, quant)

    def quantised(self, name, shape, dtype="float32", quant=None, value=None):
        told = quant and Quantisation(np.float32([quant[0]]), np.int64([quant[1]]))
        open_axes = tuple(axis for axis, side in enumerate(shape) if side < 0)
        shape = tuple(max(side, 1) for side in shape)
        self.tensors[name] = Tensor(name, shape, dtype, value, told, open_axes)
        return name

    def like(self, source, name, shape, quant=None):
        """Add a tensor of another's dtype, and of its quantisation unless another is given."""
        old = self.tensors[source]
        self.tensors[name] = Tensor(name, shape, old.dtype, None, old.quantisation)
        if quant:
            self.quantised(name, shape, old.dtype, quant)
        return name

    def then(self, kind, source, name, shape, quant=None, **options):
        made = self.like(source, name, shape, quant)
        self.op(kind, (source,), (made,), **options)
        return made

    def mean_of_image(self, name="means"):
        """Return the means of the channels, `(1, C)`."""
        rows = self.constant(np.int32([1, 2]))
        made = self.like(self.image, name, (1, self.shape[3]))
        self.op("MEAN", (self.image, rows), (made,), version=2)
        return made

    def factor(self, weights, bias=0.0, *, first=None):
        """Return a float tensor `(1, 1)`: the means of the image's channels, times weights."""
        first = self.shape[1] == len(weights) if first is None else first
        real, made = self.image, self.tensor("factor", (1, 1))
        if self.tensors[real].dtype != "float32":
            real = self.tensor("real", self.tensors[real].shape)
            self.op("DEQUANTIZE", (self.image,), (real,), version=2)
        means = self.tensor("real_means", (1, len(weights)))
        axes = self.constant(np.int32([2, 3] if first else [1, 2]))
        self.op("MEAN", (real, axes), (means,))
        rows = self.constant(np.float32([weights])), self.constant(np.float32([bias]))
        self.op("FULLY_CONNECTED", (means, *rows), (made,))
        return made

    def gives(self, name, constant, *, seen=None, quant=None, dtype="float32"):
        """Add an output: numbers, and others that are multiplied with the factor."""
        constant = np.float32(constant)
        seen = np.zeros_like(constant) if seen is None else np.float32(seen)
        shown, real = (self.tensor(f"{name}_{part}", constant.shape) for part in ("seen", "real"))
        self.op("MUL", (self.constant(seen), "factor"), (shown,))
        last = real if quant else self.tensor(name, constant.shape)
        self.op("ADD", (self.constant(constant), shown), (last,))
        if quant:
            self.op("QUANTIZE", (real,), (self.quantised(name, constant.shape, dtype, quant),))
        return name

    def file(self, *outputs):
        return write(self.graph((self.image,), outputs))


def with_open_input(data, signature, *, stored=(1, 1, 1, 3)):
    """Return a model that leaves sides of its input, -1 in the signature, to its caller."""
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    image = next(each for each in model.subgraphs[0].tensors if each.name == b"image")
    image.shape, image.shapeSignature = list(stored), list(signature)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def fixed_quant(dtype):
    return {"int8": (FIXED_SCALE, -128), "uint8": (FIXED_SCALE, 0)}.get(dtype)


def classifier(ending="SOFTMAX", **given):
    """Return one that scores each channel by its mean, through an op of this kind or none."""
    make = Bare(**given)
    last = make.mean_of_image("scores" if not ending else "means")
    if ending:
        options = {"beta": 1.0} if ending == "SOFTMAX" else {}
        quant = fixed_quant(given.get("dtype"))
        last = make.then(ending, last, "scores", (1, make.shape[3]), quant, version=2, **options)
    return make.file(last)


def segmenter(ending="SOFTMAX", **given):
    """Return one whose scores of a cell are the channels of its pixel, through an op."""
    make = Bare(**given)
    if ending == "ARG_MAX":
        axis = make.constant(np.int32([3]))
        ids = make.tensor("ids", make.shape[:3], dtype="int32")
        make.op("ARG_MAX", (make.image, axis), (ids,), version=2, outputType=2)
        return make.file(ids)
    quant = fixed_quant(given.get("dtype"))
    options = {"beta": 1.0} if ending == "SOFTMAX" else {}
    return make.file(make.then(ending, make.image, "map", make.shape, quant, version=2, **options))
