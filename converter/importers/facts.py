"""The facts that a model file needs: its own, or what the person says, or they are asked for.

Preprocessing is part of a model: a segmenter fed x / 255 that wanted raw pixels finds nothing, and
no error says so. So nothing here is guessed; what neither file nor person says is asked for.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from converter import export
from converter.choice import RANGES, InputChoice
from converter.draft import GREY, Draft
from converter.graph.reading import read
from converter.graph.writing import write
from converter.importers.heads.families import FAMILIES, FAMILY_OF_HEAD, KNOWN_LABELS
from edge.errors import ConfigError, ModelError
from edge.model.description import InputTransform
from edge.model.model_file import ModelFile
from edge.model.readers.manifest import Manifest, Provenance
from edge.record import storable
from edge.terminal.version import versions

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from converter.choice import Origin, Triple
    from converter.importers.heads.families import Family

FLOAT_RECIPE = "float32"
# For people, by the key of the reader.
FORMATS = {
    "ours": "model of ours",
    "tfjs": "TF.js graph model",
    "darknet": "Darknet .cfg",
    "frozen": "frozen TensorFlow graph",
    "h5": "Keras HDF5 file",
    "keras": "Keras archive",
    "saved_model": "TensorFlow SavedModel",
    "tflite": "float .tflite",
    "onnx": "ONNX file",
}
OTHER_ORDER: dict[str, Literal["rgb", "bgr"]] = {"rgb": "bgr", "bgr": "rgb"}
AS_THEY_ARE = tuple((value,) * 3 for value in RANGES["0..255"])
ASK = {
    "color": "its colour order: --input rgb or --input bgr",
    "mean": "its normalisation: --range 0..1, --range=-1..1 or --range 0..255, or --mean and --std "
    "in pixel values",
    "resize": "how images are fitted: --resize letterbox or --resize stretch",
    "labels": "its labels: --labels FILE",
}

_log = logging.getLogger(__name__)


def complete(
    draft: Draft, path: Path, *, family: str | None, origin: Origin, choice: InputChoice
) -> ModelFile:
    """Return the float model file: the draft's FlatBuffer with a whole manifest.

    Args:
        draft: From an importer.
        path: Of the foreign file, for messages.
        family: What the person takes it for; `None` takes it as it was found.
        origin: Name, source, licence and maybe labels.
        choice: What the person says of the preprocessing; it wins, with a warning.

    Raises:
        ConfigError: It is of another family, or something is missing; all of it is named at once.
        ModelError: It is an autoencoder that can't be compared with its own image.
    """
    check_family(draft, path, family=family)
    if (
        isinstance(draft.transform, InputChoice)
        and draft.transform.swapped
        and class_count(draft) == 0
    ):
        raise ModelError(
            f"{path}: expected an autoencoder whose output has the colours in the order of its "
            "input, found one that swaps its input's only; export it without its preprocessing"
        )
    missing = missing_facts(draft, choice, labels=origin.labels)
    if missing:
        asked = "; ".join(ASK[name] for name in missing)
        raise ConfigError(f"{path}: the file does not say, so you must: {asked}")
    labels = _checked_labels(draft, path, origin.labels)
    said = _contradictions(draft, choice)
    if labels in KNOWN_LABELS.values() and origin.labels is None and draft.labels is None:
        said.append(f"no labels are given; its {len(labels)} classes are taken for COCO's")
    for sentence in (*draft.warnings, *said):
        _log.warning("%s: %s", path.name, sentence)
    manifest = Manifest(
        name=storable(origin.name or path.stem),
        input=_transform(draft, choice),
        outputs={role: role for role in draft.graph.outputs},
        head=draft.head,
        labels=tuple(map(storable, labels)),
        provenance=Provenance(
            source=storable(origin.source or f"{path.name}, origin not stated"),
            license=storable(origin.license or "not stated"),
            changes=draft.changes,
            recipe=FLOAT_RECIPE,
            seed=0,
            tools=versions(export.IMPORT_TOOLS),
        ),
    )
    file = ModelFile.of(path, write(draft.graph), manifest, anchors=draft.anchors)
    return export.sealed(file, manifest)


def restate(
    file: ModelFile, *, family: str | None, origin: Origin, choice: InputChoice
) -> ModelFile:
    """Return a float model of ours, its manifest changed where the person says otherwise.

    Raises:
        ConfigError: It is of another family, or its labels do not fit.
    """
    before = file.own_manifest()
    graph = read(file.flatbuffer, file.path)
    # Two roles may be of one tensor.
    roles = {role: graph.tensors[name] for role, name in before.outputs.items()}
    draft = Draft(
        graph=replace(graph, tensors={**graph.tensors, **roles}, outputs=tuple(roles)),
        head=before.head,
        transform=before.input,
        labels=before.labels,
    )
    check_family(draft, file.path, family=family)
    for sentence in _contradictions(draft, choice):
        _log.warning("%s: %s", file.path.name, sentence)
    stated = {"source": origin.source, "license": origin.license}
    labels = _checked_labels(draft, file.path, origin.labels)
    changes = {
        "name": storable(origin.name) if origin.name else before.name,
        "input": _transform(draft, choice),
        "labels": tuple(map(storable, labels)),
        "provenance": before.provenance.replace(
            **{key: storable(text) for key, text in stated.items() if text}
        ),
    }
    return export.sealed(file, before.replace(**changes))


def check_family(draft: Draft, path: Path, *, family: str | None) -> None:
    """Refuse a draft of another family than the person named.

    Raises:
        ConfigError: It is; the message names its own.
    """
    found = FAMILY_OF_HEAD[draft.head.kind]
    if family not in (None, found):
        raise ConfigError(
            f"{path}: expected a model of family {family}, found one of family {found}; "
            f"type: --family {found}"
        )


def missing_facts(
    draft: Draft, choice: InputChoice, *, labels: tuple[str, ...] | None = None
) -> list[str]:
    """Return the keys of `ASK` that neither the file nor the person says."""
    known = _merged(draft, choice)
    missing = [name for name in ("color", "mean", "resize") if known.get(name) is None]
    if labels is None and _own_labels(draft) is None:
        missing.append("labels")
    return missing


def class_count(draft: Draft) -> int | None:
    """Return how many labels the head needs; `None` where its outputs do not say."""
    shapes = {role: draft.graph.shape(role) for role in draft.graph.outputs}
    channels = {role: shape[-1] for role, shape in shapes.items() if shape}
    return _family(draft).counts[draft.head.kind](draft.head, channels)


def _family(draft: Draft) -> Family:
    return FAMILIES[FAMILY_OF_HEAD[draft.head.kind]]


def stated(draft: Draft) -> dict[str, Any]:
    """Return what the file says of its preprocessing, by field; `None` where it is silent."""
    names = ("color", "mean", "std", "resize")
    found = {name: getattr(draft.transform, name, None) for name in names}
    is_grey = draft.graph.shape(draft.graph.inputs[0])[-1] == GREY
    return {**found, "color": "grey"} if is_grey else found


def _of_what_is_left(draft: Draft, choice: InputChoice) -> InputChoice:
    """Return what the person says of the file's own input, as of what a normalisation left of it.

    Pixel values 0..255 are what a file's own normalisation starts from: to say so is no
    contradiction.
    """
    own = draft.transform
    if not isinstance(own, InputChoice):
        return choice
    mean, std = choice.mean, choice.std
    if own.mean and (mean, std) == AS_THEY_ARE:
        mean = std = None
    if own.swapped:
        color = OTHER_ORDER[choice.color or "rgb"]
        choice = replace(choice, color=color)
        mean, std = mean and mean[::-1], std and std[::-1]
    if own.after and mean and std:
        # ((x - m) / s - m') / s' = (x - (m + s m')) / (s s')
        mean = _triple(m + s * m2 for m, s, m2 in zip(mean, std, own.after[0], strict=True))
        std = _triple(s * s2 for s, s2 in zip(std, own.after[1], strict=True))
    return replace(choice, mean=mean, std=std)


def _triple(values: Iterable[float]) -> Triple:
    # The file's numbers are float32, good to 6 digits.
    first, second, third = (float(f"{value:.6g}") for value in values)
    return first, second, third


def _merged(draft: Draft, choice: InputChoice) -> dict[str, Any]:
    own, choice = stated(draft), _of_what_is_left(draft, choice)
    said = {name: getattr(choice, name) for name in own}
    if own["color"] == "grey" and said["color"]:
        raise ConfigError(f"the model takes one grey channel; leave out --input {said['color']}")
    return {name: said[name] or value for name, value in own.items()}


def _contradictions(draft: Draft, choice: InputChoice) -> list[str]:
    choice = _of_what_is_left(draft, choice)
    return [
        f"the file says {name} {short(value)}, you say {short(getattr(choice, name))}; "
        "converted as you say"
        for name, value in stated(draft).items()
        if value is not None and getattr(choice, name) not in (None, value)
    ]


def short(value: Any) -> str:  # noqa: ANN401
    """Return a field of the preprocessing in words."""
    if isinstance(value, str):
        return value
    numbers = [f"{number:g}" for number in value]
    return numbers[0] if len(set(numbers)) == 1 else ", ".join(numbers)


def _transform(draft: Draft, choice: InputChoice) -> InputTransform:
    fields = _merged(draft, choice)
    if isinstance(draft.transform, InputTransform):
        return draft.transform.replace(**fields)
    return InputTransform(size_wh=draft.size_wh, **fields)


def _own_labels(draft: Draft) -> tuple[str, ...] | None:
    count, known = class_count(draft), _family(draft).labels
    if count == 0 or draft.labels is None:
        return known.get(count or 0)
    return draft.labels


def _checked_labels(draft: Draft, path: Path, said: tuple[str, ...] | None) -> tuple[str, ...]:
    labels = said if said is not None else _own_labels(draft)
    count = class_count(draft)
    if count == 0 and labels:
        raise ConfigError(f"{path}: such a model has no labels; leave out --labels")
    if labels and not labels[0] and len(labels) - 1 == count:
        # Ids from 1 on, of a head whose first class is 0.
        labels = labels[1:]
    if labels is None or (count is not None and len(labels) != count):
        raise ConfigError(
            f"{path}: expected {count} labels, one for each class, found "
            f"{len(labels or ())}; give a file of {count} lines with --labels"
        )
    return labels
