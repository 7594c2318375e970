"""Stands in for TensorRT's Python: the signatures of tensorrt 10, over onnxruntime on the CPU.

A plan is the ONNX file behind a header. Addresses are those that `stand_in_cuda` gives, of this
process. Through TENSORRT_STAND_IN an `op` is not taken, the `build` fails, the `plan` is another
version's, or a `run` fails.
"""

from __future__ import annotations

import ctypes
import os
from enum import IntEnum

import numpy as np
import onnxruntime

__version__ = "10.3.0"
HEADER = b"plan of 10.3.0\n"
TYPES = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8, "tensor(int64)": np.int64}


def _fails(what):
    return os.environ.get("TENSORRT_STAND_IN") == what


class ILogger:
    class Severity(IntEnum):  # noqa: D106
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2
        INFO = 3
        VERBOSE = 4

    def __init__(self):
        self.is_made = True

    def log(self, severity, msg):
        raise NotImplementedError


class NetworkDefinitionCreationFlag(IntEnum):
    EXPLICIT_BATCH = 0
    STRONGLY_TYPED = 1


class TensorIOMode(IntEnum):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


def nptype(trt_type):
    return trt_type


class _Network:
    model = b""


class Builder:
    def __init__(self, logger):
        assert logger.is_made, "ILogger.__init__ was not called"
        self._logger = logger

    def create_network(self, flags=0):
        assert flags == 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED
        return _Network()

    def create_builder_config(self):
        return _Config()

    def create_optimization_profile(self):
        return _Profile()

    def build_serialized_network(self, network, config):
        assert config.profiles
        if _fails("build"):
            self._logger.log(ILogger.Severity.ERROR, "no implementation for node conv")
            return None
        return memoryview(HEADER + network.model)


class _Config:
    def __init__(self):
        self.profiles = []

    def add_optimization_profile(self, profile):
        self.profiles.append(profile)
        return len(self.profiles) - 1


class _Profile:
    def set_shape(self, input, min, opt, max):  # noqa: A002 - TensorRT's own names
        assert min == opt == max


class _ParserError:
    def desc(self):
        return "No importer registered for op: NonMaxSuppression"


class OnnxParser:
    def __init__(self, network, logger):
        self._network = network
        self.num_errors = 0

    def parse(self, model, path=None):
        assert path is None
        if _fails("op"):
            self.num_errors = 1
            return False
        self._network.model = bytes(model)
        return True

    def get_error(self, index):
        assert index == 0
        return _ParserError()


class Runtime:
    def __init__(self, logger):
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine):
        if _fails("plan") or not serialized_engine.startswith(HEADER):
            self._logger.log(ILogger.Severity.ERROR, "version tag does not match")
            return None
        return ICudaEngine(serialized_engine[len(HEADER) :], self._logger)


class ICudaEngine:
    def __init__(self, model, logger):
        self.logger = logger
        self.session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        self.ends = {end.name: end for end in (*self.inputs, *self.session.get_outputs())}

    @property
    def inputs(self):
        return self.session.get_inputs()

    def get_tensor_dtype(self, name):
        return TYPES[self.ends[name].type]

    def create_execution_context(self):
        return IExecutionContext(self)


class IExecutionContext:
    def __init__(self, engine):
        self.engine = engine
        self._addresses = {}

    def set_input_shape(self, name, shape):
        (image,) = self.engine.inputs
        self._shape = tuple(shape)
        return name == image.name

    def get_tensor_shape(self, name):
        return [side if isinstance(side, int) else -1 for side in self.engine.ends[name].shape]

    def set_tensor_address(self, name, memory):
        assert isinstance(memory, int)
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle):
        assert isinstance(stream_handle, int)
        if _fails("run"):
            self.engine.logger.log(ILogger.Severity.ERROR, "an illegal memory access")
            return False
        (image,) = self.engine.inputs
        seen = self._at(image.name, self._shape)
        heads = self.engine.session.run(None, {image.name: seen})
        for end, head in zip(self.engine.session.get_outputs(), heads, strict=True):
            np.copyto(self._at(end.name, head.shape), head)
        return True

    def _at(self, name, shape):
        kind = np.dtype(self.engine.get_tensor_dtype(name))
        size = int(np.prod(shape)) * kind.itemsize
        memory = (ctypes.c_char * size).from_address(self._addresses[name])
        return np.frombuffer(memory, kind).reshape(shape)
