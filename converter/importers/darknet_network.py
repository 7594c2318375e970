"""The network of a Darknet `.cfg`, with every size held to a limit: a cfg is untrusted input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from converter.importers.darknet_cfg import read_sections, shown
from converter.importers.darknet_layers import Network, spelt
from converter.importers.darknet_sections import ALIASES, LAYERS, MAX_CHANNELS, Builder, Row

if TYPE_CHECKING:
    from pathlib import Path

    from converter.importers.darknet_cfg import Section
    from converter.importers.darknet_layers import Layer

# The largest networks known have 6.4e7 weights, and 7.6e7 values in a layer.
MAX_VALUES = 2**27
MAX_WEIGHTS = 2**28
# Keys that change nothing after training.
# Source: the `option_find` calls of Darknet's src/parser.c; each is read only while training, for
# the learning rate, the loss or the augmentation, or on a GPU for its streams.
TRAINING = frozenset(
    [
        "absolute", "adversarial_lr", "angle", "assisted_excitation", "beta_nms", "bias_match",
        "class_scale", "cls_normalizer", "coord_scale", "counters_per_class",
        "delta_normalizer", "dets_for_show", "dets_for_track", "dontsave", "dot", "dropblock",
        "dropblock_size_abs", "dropblock_size_rel", "embedding_layer", "focal_loss", "grad_centr",
        "ignore_thresh", "iou_loss", "iou_normalizer", "iou_thresh", "iou_thresh_kind", "jitter",
        "label_smooth_eps", "learning_rate", "log", "mask_scale", "max", "max_delta",
        "new_lr", "nms_kind", "noobject_scale", "obj_normalizer",
        "object_scale", "objectness_smooth", "onlyforward", "probability", "random", "rescore",
        "resize", "reverse_grad", "show_details", "sim_thresh", "sqrt", "stopbackward", "stream",
        "thresh", "track_ciou_norm", "track_history_size", "truth_thresh", "wait_stream",
    ]
)  # fmt: skip


def read_network(path: Path) -> Network:
    """Return the network of a cfg.

    Raises:
        ModelError: It is no cfg, or holds a section or a value that is not supported.
    """
    net, *sections = read_sections(path)
    builder = Builder(net)
    warnings: list[str] = []
    for section in sections:
        row = LAYERS.get(ALIASES.get(section.kind, section.kind))
        if row is None:
            raise section.fault(f"one of {', '.join(LAYERS)}", shown(section.kind))
        warnings.extend(_check_keys(section, row))
        layer = row.read(section, builder)
        if min(layer.shape) < 1:
            raise section.fault(
                "something to come out",
                "height x width x channels {} x {} x {}".format(*layer.shape),
            )
        _check_size(section, layer)
        builder.layers.append(layer)
    network = Network(
        path=path,
        size_wh=builder.size_wh,
        channels=builder.channels,
        letterbox=_letterbox(net),
        layers=tuple(builder.layers),
        warnings=tuple(warnings),
    )
    weights = sum(convolution.weights() for convolution in network.convolutions().values())
    if weights > MAX_WEIGHTS:
        raise net.fault(f"at most {MAX_WEIGHTS} weights", f"{weights}")
    return network


def _letterbox(net: Section) -> bool | None:
    if "letter_box" not in net.options:
        return None
    return bool(net.integer("letter_box", 0, low=0, high=1))


def _check_keys(section: Section, row: Row) -> list[str]:
    """Return a warning for every unknown key, once those that change the result are neutral."""
    unknown = []
    for key, value in section.options.items():
        if key in row.only:
            if not _same(value, row.only[key]):
                raise section.fault(
                    f"'{key} = {row.only[key]}', the only one supported", shown(value)
                )
        elif key not in row.keys and key not in TRAINING:
            unknown.append(f"{section.where}: {shown(key)} is unknown and was left out")
    return unknown


def _check_size(section: Section, layer: Layer) -> None:
    height, width, channels = layer.shape
    if channels > MAX_CHANNELS:
        raise section.fault(f"at most {MAX_CHANNELS} channels", f"{channels}")
    if height * width * channels > MAX_VALUES:
        raise section.fault(f"at most {MAX_VALUES} values", spelt((height, width, channels)))


def _same(value: str, neutral: str) -> bool:
    """Return whether a value is the neutral one, `1.0` and `1` alike."""
    try:
        return float(value) == float(neutral)
    except ValueError:
        return value == neutral
