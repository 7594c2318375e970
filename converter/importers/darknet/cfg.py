"""The text of a Darknet `.cfg`: sections of `key = value` lines, every value checked as it is read.

Source: `read_cfg` and `option_find` of Darknet (src/parser.c, src/option_list.c): white space means
nothing, a line that begins with `#` or `;` is a comment.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

# The longest cfg known (csresnext50-panet-spp) has 24 KiB and 137 sections.
MAX_CFG_BYTES = 2**20
MAX_SECTIONS = 1000
# Of a list of layers, anchors or masks.
MAX_LIST = 256
# Of a piece of the file in a message.
SHOWN_CHARACTERS = 40
WHOLE_NUMBER = re.compile(r"[+-]?\d{1,12}", re.ASCII)
DECIMAL_NUMBER = re.compile(r"[+-]?(\d{1,20}\.?\d{0,20}|\.\d{1,20})([eE][+-]?\d{1,3})?", re.ASCII)
# Section to keys that make another operation of it, or other weights, unless they have this value.
NEUTRAL = {
    kind: dict(pair.split("=") for pair in pairs.split())
    for kind, pairs in {
        "convolutional": "antialiasing=0 bin_output=0 binary=0 cbn=0 coordconv=0 dilation=1 "
        "dontload=0 dontloadscales=0 flipped=0 reverse=0 rotate=0 share_index=-1000000000 "
        "stretch=0 stretch_sway=0 sway=0 xnor=0",
        "maxpool": "maxpool_depth=0 out_channels=1 antialiasing=0 maxpool_zero_nonmax=0",
        "shortcut": "alpha=1 beta=1 weights_type=none weights_normalization=none",
        "scale_channels": "scale_wh=0",
        "upsample": "scale=1",
        "reorg": "reverse=0 flatten=0 extra=0",
        "yolo": "map=none",
        "region": "coords=4 background=0 classfix=0 tree=none map=none",
    }.items()
}
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
ALIASES = {"conv": "convolutional", "max": "maxpool", "avg": "avgpool"}


@dataclass(frozen=True, slots=True)
class Section:
    """One `[section]` of a cfg.

    Attributes:
        kind: The name in the brackets.
        where: File, line and name, for messages.
        options: Key to value, without white space and comments.
        asked: The keys that were read.
    """

    kind: str
    where: str
    options: dict[str, str] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)

    def text(self, key: str, default: str = "") -> str:
        """Return a value as it stands; none is empty."""
        self.asked.add(key)
        return self.options.get(key, default)

    def integer(self, key: str, default: int, *, low: int, high: int) -> int:
        """Return a whole number in [low, high]; the default is taken as it is."""
        text = self.text(key)
        return self._integer(key, text, low=low, high=high) if text else default

    def flag(self, key: str) -> bool:
        """Return whether a value is 1; it is 0 where it is not given."""
        return bool(self.integer(key, 0, low=0, high=1))

    def number(self, key: str, default: float, *, low: float, high: float) -> float:
        """Return a number in [low, high]; the default is taken as it is."""
        text = self.text(key)
        return self._number(key, text, low=low, high=high) if text else default

    def integers(self, key: str, *, low: int, high: int) -> tuple[int, ...]:
        """Return a list of whole numbers, at least one."""
        values = self._list(key, "whole numbers")
        return tuple(self._integer(key, value, low=low, high=high) for value in values)

    def numbers(self, key: str, *, low: float, high: float) -> tuple[float, ...]:
        """Return a list of numbers, at least one."""
        values = self._list(key, "numbers")
        return tuple(self._number(key, value, low=low, high=high) for value in values)

    def fault(self, expected: str, found: str) -> ModelError:
        """Return the error for something in this section."""
        return ModelError(f"{self.where}: expected {expected}, found {found}; correct the cfg")

    def check_neutral(self) -> None:
        """Refuse values that nothing here honours.

        Raises:
            ModelError: There is one.
        """
        for key, neutral in NEUTRAL.get(self.kind, {}).items():
            value = self.text(key, neutral)
            if not _same(value, neutral):
                raise self.fault(f"'{key} = {neutral}', the only one supported", shown(value))

    def unknown(self) -> list[str]:
        """Return a warning for every key that was not read and is none of training."""
        return [
            f"{self.where}: {shown(key)} is unknown and was left out"
            for key in self.options
            if key not in self.asked and key not in TRAINING
        ]

    def _integer(self, key: str, value: str, *, low: int, high: int) -> int:
        if WHOLE_NUMBER.fullmatch(value) and low <= int(value) <= high:
            return int(value)
        raise self.fault(f"{key!r} to be a whole number from {low} to {high}", shown(value))

    def _number(self, key: str, value: str, *, low: float, high: float) -> float:
        if DECIMAL_NUMBER.fullmatch(value):
            number = float(value)
            if math.isfinite(number) and low <= number <= high:
                return number
        raise self.fault(f"{key!r} to be a number from {low:g} to {high:g}", shown(value))

    def _list(self, key: str, what: str) -> list[str]:
        value = self.text(key)
        if not value:
            raise self.fault(f"{key!r} with {what}", "none")
        # A comma at the end is common, and Darknet stops there.
        values = value.removesuffix(",").split(",")
        if len(values) > MAX_LIST:
            raise self.fault(f"at most {MAX_LIST} {what} in {key!r}", str(len(values)))
        return values


def read_sections(path: Path) -> list[Section]:
    """Return the sections of a cfg, the first one `net`.

    Raises:
        ModelError: The file is missing, too large, or no cfg.
    """
    sections: list[Section] = []
    begun = f"{path}: expected a Darknet cfg that begins with [net], found"
    for number, line in enumerate(_read_text(path).splitlines(), start=1):
        content = "".join(line.split())
        if not content or content[0] in "#;\0":
            continue
        content = content.partition("#")[0]
        if content.startswith("["):
            sections.append(_section(f"{path} line {number}", content))
        elif sections:
            _add_option(sections[-1], number, content)
        else:
            raise ModelError(
                f"{begun} {shown(content)} in line {number}; give the .cfg of the model"
            )
        if len(sections) > MAX_SECTIONS:
            raise ModelError(f"{path}: expected at most {MAX_SECTIONS} sections, found more")
    if not sections or sections[0].kind not in ("net", "network"):
        found = f"[{sections[0].kind}]" if sections else "no section"
        raise ModelError(f"{begun} {found}; give the .cfg of the model")
    return sections


def shown(text: str) -> str:
    """Return a piece of the file for a message, quoted and not too long."""
    cut = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
    return repr(cut)


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_CFG_BYTES:
            raise ModelError(
                f"{path}: expected a Darknet cfg of at most {MAX_CFG_BYTES} bytes, found "
                f"{path.stat().st_size}; give the .cfg of the model"
            )
        # Comments may be in any encoding; Darknet, too, reads bytes.
        return path.read_text("latin-1")
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such file; give the .cfg of a Darknet model") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {os.strerror(error.errno or 0)}") from error


def _section(where: str, content: str) -> Section:
    if not re.fullmatch(rf"\[\w{{1,{SHOWN_CHARACTERS}}}\]", content, re.ASCII):
        raise ModelError(
            f"{where}: expected a section such as [maxpool], found {shown(content)}; "
            "correct the cfg"
        )
    kind = content[1:-1]
    return Section(ALIASES.get(kind, kind), f"{where} {content}")


def _add_option(section: Section, number: int, content: str) -> None:
    key, separator, value = content.partition("=")
    if not key or not separator or not value:
        raise section.fault(f"'key = value' in line {number}", shown(content))
    # Darknet takes the first, its readers elsewhere the last.
    if section.options.setdefault(key, value) != value:
        raise section.fault(f"{shown(key)} once", f"another value in line {number}")


def _same(value: str, neutral: str) -> bool:
    """Return whether a value is the neutral one, `1.0` and `1` alike."""
    try:
        return float(value) == float(neutral)
    except ValueError:
        return value == neutral
