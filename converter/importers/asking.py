"""What a model file tells before it is read for minutes, and what must be asked for at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from converter.importers.facts import ASK, FORMATS
from converter.importers.heads.families import FAMILIES, KNOWN_LABELS
from converter.importers.tensorflow.ssd_graph import DECODE
from converter.importers.tflite import told_family
from edge.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from converter.choice import Choice

TENSORFLOW = ("tfjs", "frozen", "h5", "keras", "saved_model")
# Option to the formats whose importers take it: no other file has a use for it.
TAKEN = {
    "--weights": ("darknet",),
    "--anchors": (*TENSORFLOW, "tflite", "onnx"),
    "--box-scales": (*TENSORFLOW, "tflite", "onnx"),
    "--output-name": (*TENSORFLOW, "tflite", "onnx"),
    "--activation": (*TENSORFLOW, "tflite", "onnx"),
    "--size": TENSORFLOW,
}
# In whose files the name of its decode stands if they are of the Object Detection API.
API_FORMATS = ("tfjs", "frozen", "saved_model")


def ask_family(path: Path, form: str, *, said: str | None) -> str | None:
    """Return the family that the person says, or else the file; `None` where its import tells.

    Raises:
        ConfigError: Neither does.
    """
    if said:
        return said
    if form == "darknet":
        return "yolo"
    if form in TENSORFLOW:
        return "ssd" if _is_api_detector(path, form) else None
    if form == "tflite":
        return accepted(path, form, told_family(path))
    from converter.importers.onnx import importer as onnx  # noqa: PLC0415 - loads onnx

    return accepted(path, form, onnx.told_family(path))


def accepted(path: Path, form: str, told: tuple[str | None, str]) -> str:
    """Return the family that a file was told to be of, with the reason.

    Raises:
        ConfigError: It can't be told, for that reason.
    """
    found, reason = told
    if found is None:
        ways = ", ".join(f"--family {name} ({row.gives})" for name, row in FAMILIES.items())
        raise ConfigError(
            f"{path}: a {FORMATS[form]}, whose family the file does not tell ({reason}), so you "
            f"must: {ways}"
        )
    return found


def ask_early(
    path: Path, form: str, choice: Choice, *, family: str | None, labels: tuple[str, ...] | None
) -> None:
    """Ask for what no file of this format says, before the minutes that its import takes.

    Raises:
        ConfigError: Something is missing; all of it is named at once.
    """
    unsaid = {name for name in ("color", "mean", "resize") if getattr(choice.input, name) is None}
    missing = [name for name in _never_said(path, form, family) if name in unsaid]
    if labels is None and _needs_labels(path, form, family):
        missing.append("labels")
    if not missing:
        return
    asked = "; ".join(ASK[name] for name in missing)
    perhaps = [ASK[name] for name in ("color", "mean") if name in unsaid]
    if form in TENSORFLOW and perhaps:
        asked += f"; and, unless the graph does so itself: {'; '.join(perhaps)}"
    raise ConfigError(f"{path}: the file does not say, so you must: {asked}")


def refuse_unused(path: Path, form: str, choice: Choice) -> None:
    """Refuse options that a file of this format has no use for.

    Raises:
        ConfigError: There are some.
    """
    given = {
        "--weights": choice.weights,
        "--anchors": choice.anchors,
        "--box-scales": choice.box_scales,
        "--output-name": choice.output,
        "--activation": choice.activation,
        "--size": choice.input.size_wh,
    }
    unused = [
        option for option, value in given.items() if value is not None and form not in TAKEN[option]
    ]
    if unused:
        raise ConfigError(
            f"{path}: a {FORMATS[form]} has no use for {', '.join(unused)}; leave it out"
        )


def _never_said(path: Path, form: str, family: str | None) -> tuple[str, ...]:
    """Return the fields of `InputChoice` that such a file is silent on, whatever it holds."""
    if form == "onnx":
        from converter.importers.onnx import importer as onnx  # noqa: PLC0415 - loads onnx

        return onnx.unsaid(path, family=family)
    if form in TENSORFLOW and not _is_api_detector(path, form):
        return ("resize",)
    # A `.tflite` is read in a second, and a .cfg says it all.
    return ()


def _is_api_detector(path: Path, form: str) -> bool:
    source = path / "saved_model.pb" if path.is_dir() else path
    return form in API_FORMATS and DECODE.encode() in source.read_bytes()


def _needs_labels(path: Path, form: str, family: str | None) -> bool:
    """Return whether a file surely holds no labels, and its family has none of its own."""
    if form == "darknet":
        from converter.importers.darknet.network import read_network  # noqa: PLC0415

        heads = read_network(path).heads()
        return next((head.classes for _, head in heads), 0) not in KNOWN_LABELS
    return form in TENSORFLOW and family == "classifier"
