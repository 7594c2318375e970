"""Stands in for HailoRT's Python half: the signatures of hailo_platform 4.23, on a made-up `.hef`.

Behind its header such a file holds JSON: `inputs` and `outputs` as HailoRT tells them, and `gives`,
what each output holds after a run, flat. Through HAILO_STAND_IN the chip is `absent`, or gone
behind so many runs.
"""

from __future__ import annotations

import json
import os
from enum import Enum, auto
from types import SimpleNamespace

import numpy as np

__version__ = "4.23.0"


class HailoRTException(Exception):  # noqa: N818 - its own name
    pass


class FormatType(Enum):
    AUTO = auto()
    UINT8 = auto()
    UINT16 = auto()
    FLOAT32 = auto()


class FormatOrder(Enum):
    NHWC = auto()
    NC = auto()
    FCR = auto()
    YUY2 = auto()
    HAILO_NMS_BY_CLASS = auto()
    HAILO_NMS_WITH_BYTE_MASK = auto()


def _info(fields):
    classes, most = fields.get("nms", (0, 0))
    return SimpleNamespace(
        name=fields["name"],
        shape=tuple(fields.get("shape", ())),
        format=SimpleNamespace(order=FormatOrder[fields["order"]], type=FormatType[fields["type"]]),
        quant_info=SimpleNamespace(qp_scale=fields.get("scale", 1.0), qp_zp=fields.get("zp", 0.0)),
        nms_shape=SimpleNamespace(number_of_classes=classes, max_bboxes_per_class=most),
    )


class HEF:
    def __init__(self, hef_source):
        if not isinstance(hef_source, bytes):
            raise ValueError("HEF can only be created from a buffer")  # noqa: TRY004 - as HailoRT
        try:
            self.fields = json.loads(hef_source[12:])
        except ValueError as error:
            raise HailoRTException("Invalid HEF. See hailort.log for more information") from error

    def get_input_vstream_infos(self, name=None):
        assert name is None
        return [_info(fields) for fields in self.fields["inputs"]]

    def get_output_vstream_infos(self, name=None):
        assert name is None
        return [_info(fields) for fields in self.fields["outputs"]]


class VDevice:
    def __init__(self, params=None, *, device_ids=None):
        if os.environ.get("HAILO_STAND_IN") == "absent" or device_ids == ["0000:99:00.0"]:
            raise HailoRTException(
                "libhailort failed with error: 74 (HAILO_OUT_OF_PHYSICAL_DEVICES)"
            )

    def create_infer_model(self, hef_source, network_name=""):
        return InferModel(HEF(hef_source))


class InferModel:
    class InferStream:  # noqa: D106
        def __init__(self, info):
            self.info = info
            self.type = info.format.type

        def set_format_type(self, type):  # noqa: A002 - HailoRT's own name
            self.type = type

        @property
        def shape(self):
            nms = self.info.nms_shape
            if self.info.format.order is FormatOrder.HAILO_NMS_BY_CLASS:
                return [nms.number_of_classes * (1 + 5 * nms.max_bboxes_per_class)]
            return list(self.info.shape)

        def nbytes(self):
            width = {FormatType.UINT8: 1, FormatType.UINT16: 2, FormatType.FLOAT32: 4}[self.type]
            return int(np.prod(self.shape)) * width

    def __init__(self, hef):
        self.hef = hef
        self._streams = {
            info.name: self.InferStream(info)
            for info in (*hef.get_input_vstream_infos(), *hef.get_output_vstream_infos())
        }

    def input(self, name=""):
        return self._streams[name or self.hef.get_input_vstream_infos()[0].name]

    def output(self, name=""):
        return self._streams[name or self.hef.get_output_vstream_infos()[0].name]

    def configure(self):
        for info in self.hef.get_output_vstream_infos():
            order, type_ = info.format.order, self.output(info.name).type
            if order is FormatOrder.HAILO_NMS_BY_CLASS and type_ is not FormatType.FLOAT32:
                raise HailoRTException("Invalid operation. See hailort.log for more information")
        return ConfiguredInferModel(self)


class Bindings:
    class InferStream:  # noqa: D106
        def __init__(self, stream):
            self.stream = stream
            self.buffer = None

        def set_buffer(self, buffer):
            # As pybind11 hands memory on: nothing is copied or converted.
            assert buffer.flags.c_contiguous
            assert buffer.flags.writeable
            if buffer.nbytes != self.stream.nbytes():
                raise HailoRTException("Invalid argument. See hailort.log for more information")
            self.buffer = buffer

    def __init__(self, model, outputs):
        self._model = model
        self._streams = {}
        for name, buffer in outputs.items():
            self.output(name).set_buffer(buffer)

    def input(self, name=""):
        return self._streams.setdefault("", self.InferStream(self._model.input(name)))

    def output(self, name=""):
        return self._streams.setdefault(name, self.InferStream(self._model.output(name)))


class ConfiguredInferModel:
    def __init__(self, infer_model):
        self._model = infer_model
        self._runs = 0

    def create_bindings(self, input_buffers=None, output_buffers=None):
        assert input_buffers is None
        return Bindings(self._model, output_buffers)

    def run(self, bindings, timeout):
        assert timeout > 0
        limit = os.environ.get("HAILO_STAND_IN", "")
        if limit.isdigit() and self._runs >= int(limit):
            raise HailoRTException("Received a timeout - hailort has failed because of it")
        self._runs += 1
        (binding,) = bindings
        assert binding.input().buffer is not None
        for name, values in self._model.hef.fields["gives"].items():
            flat = binding.output(name).buffer.reshape(-1)
            flat[: len(values)] = values
