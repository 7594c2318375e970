"""The messages of TensorFlow's GraphDef and SavedModel, as far as a frozen graph needs them.

TensorFlow takes three seconds to import, and its own parser of a hostile file may abort; protobuf
alone reads the same bytes by this table in milliseconds.

Source: `graph.proto`, `node_def.proto`, `attr_value.proto`, `tensor.proto`, `tensor_shape.proto`,
`function.proto`, `op_def.proto`, `meta_graph.proto`, `saved_object_graph.proto` and
`saved_model.proto` of TensorFlow; fields
that are not listed are skipped.
"""

from __future__ import annotations

import functools
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "edge_vision.tensorflow"
REPEATED, PACKED, MAPPED = "repeated", "packed", "map"
# Message to its fields: name, number, type, and how often. A capital letter begins a message.
MESSAGES: dict[str, tuple[tuple[Any, ...], ...]] = {
    "Dim": (("size", 1, "int64"), ("name", 2, "string")),
    "TensorShape": (("dim", 2, "Dim", REPEATED), ("unknown_rank", 3, "bool")),
    "Tensor": (
        ("dtype", 1, "int32"),
        ("tensor_shape", 2, "TensorShape"),
        ("tensor_content", 4, "bytes"),
        ("half_val", 13, "int32", PACKED),
        ("float_val", 5, "float", PACKED),
        ("double_val", 6, "double", PACKED),
        ("int_val", 7, "int32", PACKED),
        ("int64_val", 10, "int64", PACKED),
        ("bool_val", 11, "bool", PACKED),
    ),
    "ListValue": (
        ("s", 2, "bytes", REPEATED),
        ("i", 3, "int64", PACKED),
        ("f", 4, "float", PACKED),
        ("b", 5, "bool", PACKED),
        ("type", 6, "int32", PACKED),
        ("shape", 7, "TensorShape", REPEATED),
    ),
    "AttrValue": (
        ("s", 2, "bytes"),
        ("i", 3, "int64"),
        ("f", 4, "float"),
        ("b", 5, "bool"),
        ("type", 6, "int32"),
        ("shape", 7, "TensorShape"),
        ("tensor", 8, "Tensor"),
        ("list", 1, "ListValue"),
    ),
    "Node": (
        ("name", 1, "string"),
        ("op", 2, "string"),
        ("input", 3, "string", REPEATED),
        ("attr", 5, "AttrValue", MAPPED),
    ),
    "Function": (("node_def", 3, "Node", REPEATED),),
    "Library": (("function", 1, "Function", REPEATED),),
    "Graph": (("node", 1, "Node", REPEATED), ("library", 2, "Library")),
    "SlotVariable": (("original_variable_node_id", 1, "int32"),),
    "SavedObject": (("slot_variables", 3, "SlotVariable", REPEATED),),
    "ObjectGraph": (("nodes", 1, "SavedObject", REPEATED),),
    "MetaGraph": (("graph_def", 2, "Graph"), ("object_graph_def", 7, "ObjectGraph")),
    "SavedModel": (
        ("saved_model_schema_version", 1, "int64"),
        ("meta_graphs", 2, "MetaGraph", REPEATED),
    ),
}


@functools.cache
def message_class(name: str) -> Any:  # noqa: ANN401 - protobuf makes the class as it runs
    """Return the protobuf class of one of `MESSAGES`."""
    file = descriptor_pb2.FileDescriptorProto(
        name="edge_vision/tensorflow.proto", package=PACKAGE, syntax="proto2"
    )
    for title, fields in MESSAGES.items():
        message = file.message_type.add(name=title)
        for row in fields:
            _add_field(message, *row)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))


def _add_field(message: Any, name: str, number: int, *row: str) -> None:  # noqa: ANN401
    kind, often = row[0], row[1] if len(row) > 1 else ""
    field = message.field.add(name=name, number=number)
    field.label = field.LABEL_REPEATED if often else field.LABEL_OPTIONAL
    if often == MAPPED:
        entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
        entry.options.map_entry = True
        _add_field(entry, "key", 1, "string")
        _add_field(entry, "value", 2, kind)
        kind = f"{message.name}.{entry.name}"
    if kind[0].isupper():
        field.type, field.type_name = field.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
    else:
        field.type = getattr(field, f"TYPE_{kind.upper()}")


def parse(name: str, data: bytes) -> Any:  # noqa: ANN401
    """Return the message in the bytes.

    Raises:
        ValueError: They are none.
    """
    from google.protobuf.message import DecodeError  # noqa: PLC0415

    message = message_class(name)()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise ValueError(str(error)) from error
    return message
