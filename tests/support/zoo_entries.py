"""The zoo: which tools write which files, each built by `zoo_models`."""

from __future__ import annotations

from functools import partial

import told_files as told
from bare_models import FIXED_SCALE
from zoo_models import (
    BYTES,
    LABELS,
    POINTS,
    SIDE,
    SIGNED,
    ZOO_INPUT,
    Entry,
    Net,
    Truth,
    behind_the_op,
    class_map,
    joint,
    points,
    prototypes,
    raw_head,
    vector,
    with_labels,
    with_manifest,
)

from edge.decode.classes import ClassesHead
from edge.decode.decoded import DecodedHead
from edge.decode.detections import DetectionsHead
from edge.decode.segmentation import SegmentationHead

STRETCHED = Truth(norm=SIGNED, resize="stretch")
PIXELS = Truth(norm=BYTES, resize="stretch")
UINT8 = {"dtype": "uint8", "quant": (1 / 128, 128)}
INT8 = {"dtype": "int8", "quant": (1 / 127.5, -1)}
UNIT_INT8 = {"dtype": "int8", "quant": (1 / 255, -128)}
RATIO = {"out": (FIXED_SCALE, -128)}  # boxes and scores of 0..1 in one int8 tensor
TF2 = ("scores", "boxes", "count", "classes")
NAMES = {"names": LABELS, "imgsz": [SIDE, SIDE]}


def exported(net, *, task="detect", kind="columns", old=False, facts=None, **given):
    """Return a file of the common YOLO exporter."""
    data = joint(net, kind=kind, **given)
    return told.exported(data, task=task, old=old, **NAMES, **(facts or {}))


def exported_as(make, net, **facts):
    return told.exported(make(net), **NAMES, **facts)


def manifest_entries():
    net = Net(Truth())
    described = {
        "classes": (vector, ClassesHead(activation="none"), {"scores": "real"}, "classes"),
        "segmentation": (class_map, SegmentationHead(activation="none", background=None),
                         {"classes": "map"}, "map"),
        "decoded": (partial(joint, kind="columns"), DecodedHead(units="ratios"),
                    {"rows": "joint"}, "boxes"),
        "detections": (partial(joint, kind="end"), DetectionsHead(units="ratios"),
                       {"rows": "joint"}, "boxes"),
    }  # fmt: skip
    for kind in ("ssd", "yolo", "anchor_free"):
        yield Entry(f"edge-convert, raw {kind}", partial(raw_head, net, kind), net.truth)
    for kind, (make, head, outputs, sees) in described.items():
        data = partial(lambda make, head, outputs: with_manifest(net, make(net), head, outputs),
                       make, head, outputs)  # fmt: skip
        yield Entry(f"edge-convert, {kind}", data, net.truth, sees)


def metadata_entries():
    grey = Truth(color="grey", norm=SIGNED, resize="stretch")
    for label, net in {
        "float32": Net(STRETCHED),
        "uint8": Net(STRETCHED, **UINT8, out=(FIXED_SCALE, 0)),
        "int8": Net(STRETCHED, **INT8, out=(FIXED_SCALE, -128)),
        "grey": Net(grey),
    }.items():
        data = partial(lambda net: with_labels(net, vector(net)), net)
        yield Entry(f"TFLite Metadata, classifier {label}", data, net.truth, "classes")
    plain = Net(STRETCHED)
    for activation, ending in ((0, "SOFTMAX"), (2, "")):
        data = partial(
            lambda net, activation, ending: with_labels(
                net, class_map(net, ending), custom=told.segmenter(activation)
            ),
            plain, activation, ending,
        )  # fmt: skip
        yield Entry(f"MediaPipe, segmenter, activation {activation}", data, STRETCHED, "map")
    box_outputs = [told.boxes(), told.scores("labels.txt", name="category"),
                   told.Table({0: "score"}), told.Table({0: "count"})]  # fmt: skip
    for label, net in {"float32": Net(STRETCHED), "uint8": Net(STRETCHED, **UINT8)}.items():
        data = partial(lambda net: with_labels(net, behind_the_op(net), outputs=box_outputs), net)
        yield Entry(f"Model Maker, detector {label}", data, net.truth)


def exporter_entries():
    square, wide = Truth(), Truth(size_wh=(128, 64))
    grey = Truth(color="grey")
    plain = Net(square)
    first = Net(square, first=True)
    end = {"kind": "end", "rows": 300, "facts": {"end2end": True}}
    px = {"units": SIDE}
    detectors = {
        "v8, float32": (plain, {}),
        "v8, int8 in and out": (Net(square, **UNIT_INT8, **RATIO), {}),
        "v8, int16 in": (Net(square, dtype="int16", quant=(1 / 32767, 0)), {}),
        "v8, text of 2023": (plain, {"old": True}),
        "v8, one grey channel": (Net(grey), {"facts": {"channels": 1}}),
        "v8, wide": (Net(wide), {"rows": 8 * 16 + 4 * 8 + 2 * 4}),
        "v5, rows": (plain, {"kind": "rows5", "rows": 3 * 189, "old": True}),
        "2026, channels first": (first, {}),
        "2026, channels first, wide": (Net(wide, first=True), {"rows": 8 * 16 + 4 * 8 + 2 * 4}),
        "end to end, 2025": (plain, end),
        "end to end, 2026": (first, end | px),
        "RT-DETR": (plain, {"kind": "detr", "rows": 30, "facts": {"head": "RTDETRDecoder"}}),
    }
    for label, (net, given) in detectors.items():
        yield Entry(f"YOLO exporter, {label}", partial(exported, net, **given), net.truth)
    for label, net in {"2025": plain, "2026": first}.items():
        units = SIDE if net.first else 1.0
        shape = {"facts": {"kpt_shape": [POINTS, 3]}}
        mask = {"task": "segment", "behind": (1.0, 0.0), "beside": prototypes(net)}
        yield Entry(f"YOLO exporter, masks, {label}", partial(exported, net, **mask),
                    square, "masks")  # fmt: skip
        yield Entry(f"YOLO exporter, masks, end to end, {label}",
                    partial(exported, net, **mask, **end, units=units),
                    square, "masks")  # fmt: skip
        pose = {"task": "pose", "behind": points()}
        yield Entry(f"YOLO exporter, pose, {label}", partial(exported, net, **pose, **shape),
                    square, "points")  # fmt: skip
        pose["behind"] = points(units)
        facts = {"facts": shape["facts"] | end["facts"]}
        yield Entry(f"YOLO exporter, pose, end to end, {label}",
                    partial(exported, net, **pose, **(end | facts), units=units),
                    square, "points")  # fmt: skip
        stretched = Net(Truth(resize="stretch"), first=net.first)
        yield Entry(f"YOLO exporter, classifier, {label}",
                    partial(exported_as, vector, stretched, task="classify"),
                    stretched.truth, "classes")  # fmt: skip
    for label, net in {"2025": plain, "2026": first}.items():
        yield Entry(f"YOLO exporter, class map, {label}",
                    partial(exported_as, partial(class_map, ending=""), net, task="semantic"),
                    square, "map")  # fmt: skip


def bare_entries():
    zoo = {"name": ZOO_INPUT}
    quantised = Net(STRETCHED, **UINT8, **zoo, out=(FIXED_SCALE, 0))
    yield Entry("TensorFlow's zoo, classifier uint8", partial(vector, quantised), STRETCHED,
                "classes")  # fmt: skip
    yield Entry("TensorFlow's zoo, classifier int8",
                partial(vector, Net(STRETCHED, **INT8, **zoo, out=(FIXED_SCALE, -128))),
                STRETCHED, "classes")  # fmt: skip
    yield Entry("TensorFlow's zoo, class map, ARG_MAX",
                partial(class_map, Net(STRETCHED, **UINT8, **zoo), "ARG_MAX"),
                STRETCHED, "map")  # fmt: skip
    yield Entry("TensorFlow's zoo, class map, softmax",
                partial(class_map, Net(STRETCHED, **INT8, **zoo)), STRETCHED, "map")  # fmt: skip
    for label, order in {"1": ("boxes", "classes", "scores", "count"), "2": TF2}.items():
        for kind, net in {"uint8": Net(STRETCHED, **UINT8), "int8": Net(STRETCHED, **INT8),
                          "bytes": Net(PIXELS, dtype="uint8", quant=(1.0, 0))}.items():  # fmt: skip
            yield Entry(f"Object Detection API of TensorFlow {label}, {kind}",
                        partial(behind_the_op, net, order), net.truth)  # fmt: skip
    yield Entry(
        "Keras, classifier, float32", partial(vector, Net(STRETCHED)), STRETCHED, "classes",
        {"color": '"rgb"', "mean": "[127.5, 127.5, 127.5]", "std": "[127.5, 127.5, 127.5]"},
    )  # fmt: skip
    yield Entry(
        "onnx2tf, v8 without metadata", partial(joint, Net(Truth()), units=SIDE), Truth(), "boxes",
        {"units": '"pixels"', "labels": '["cat", "dog", "owl"]'},
    )  # fmt: skip


def entries():
    """Return the whole zoo."""
    return [*manifest_entries(), *metadata_entries(), *exporter_entries(), *bare_entries()]
