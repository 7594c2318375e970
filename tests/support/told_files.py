"""What tools append to a `.tflite` so that it says what it is: TFLite Metadata, exporters' JSON.

The FlatBuffers are written by the public schema's field numbers, without the reader under test.
"""

from __future__ import annotations

import io
import json
import zipfile

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

RGB, GREY = 1, 2
IMAGE, BOXES, FEATURES = 2, 3, 1
AXIS_LABELS = 2


class Table(dict):
    """A FlatBuffer table: field number to text, bytes, number of bytes (b, I, f), or a list."""


def pack(table, identifier):
    """Return the bytes of a FlatBuffer whose root is this table."""
    builder = flatbuffers.Builder(256)
    builder.Finish(_put(builder, table), identifier)
    return bytes(builder.Output())


def _put(builder, table):
    placed = {number: _place(builder, value) for number, value in table.items()}
    builder.StartObject(max(table, default=-1) + 1)
    for number, (kind, value) in placed.items():
        if kind == "offset":
            builder.PrependUOffsetTRelativeSlot(number, value, 0)
        else:
            {"b": builder.PrependUint8Slot, "I": builder.PrependUint32Slot}[kind](number, value, 0)
    return builder.EndObject()


def _place(builder, value):
    if isinstance(value, tuple):  # a scalar, with its type
        return value
    if isinstance(value, str):
        return "offset", builder.CreateString(value)
    if isinstance(value, bytes):
        return "offset", builder.CreateByteVector(value)
    if isinstance(value, Table):
        return "offset", _put(builder, value)
    if isinstance(value[0], Table):
        offsets = [_put(builder, each) for each in value]
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return "offset", builder.EndVector()
    builder.StartVector(4, len(value), 4)
    for number in reversed(value):
        (builder.PrependFloat32 if isinstance(number, float) else builder.PrependUint32)(number)
    return "offset", builder.EndVector()


def image(color, mean, std):
    """Return the metadata of an input."""
    unit = Table({0: ("b", 1), 1: Table({0: list(mean), 1: list(std)})})
    content = Table({0: ("b", IMAGE), 1: Table({0: ("b", color)})})
    return Table({0: "image", 3: content, 4: [unit]})


def scores(labels, *, name="probability", locale=""):
    """Return the metadata of an output whose last axis these labels name."""
    file = Table({0: labels, 2: ("b", AXIS_LABELS), 3: locale})
    return Table({0: name, 3: Table({0: ("b", FEATURES), 1: Table()}), 6: [file]})


def boxes(order=(1, 0, 3, 2)):
    """Return the metadata of an output of boxes."""
    properties = Table({0: list(order), 1: ("b", 1)})
    return Table({0: "location", 3: Table({0: ("b", BOXES), 1: properties})})


def segmenter(activation):
    """Return what MediaPipe's segmenters carry beside: what is still to be applied."""
    options = pack(Table({0: ("b", activation)}), b"V001")
    return [Table({0: "SEGMENTER_METADATA", 1: options})]


def with_metadata(flatbuffer, inputs, outputs, *, files=None, custom=None, name="told"):
    """Return a model with TFLite Metadata in it, and label files behind it."""
    graph = Table({2: inputs, 3: outputs}) | ({9: custom} if custom else {})
    packed = pack(Table({0: name, 3: [Table(graph)]}), b"M001")
    model = schema.ModelT.InitFromPackedBuf(flatbuffer, 0)
    buffer = schema.BufferT()
    buffer.data = list(packed)
    entry = schema.MetadataT()
    entry.name, entry.buffer = b"TFLITE_METADATA", len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return with_files(bytes(builder.Output()), files or {})


def with_files(data, files):
    """Return bytes with a zip of these texts behind them."""
    out = io.BytesIO()
    out.write(data)
    if files:
        with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as archive:
            for name, text in files.items():
                archive.writestr(name, text)
    return out.getvalue()


def exported(flatbuffer, *, task="detect", names=("person", "car"), old=False, **facts):
    """Return a model as the common YOLO exporter leaves it, now or as until 2024."""
    told = {"author": "someone", "stride": 32, "task": task, "imgsz": [320, 320]}
    names = dict(enumerate(names)) if isinstance(names, tuple) else names
    told |= {"names": names, "batch": 1} | facts
    return with_files(
        flatbuffer, {"temp_meta.txt": str(told)} if old else {"metadata.json": json.dumps(told)}
    )
