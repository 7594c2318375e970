"""A labelled set, checked before any training: what is wrong with it is said, not met later."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from calibration.dataset import NEAR_DUPLICATE_BITS, difference_hash
from edge.capture.source import silence_opencv
from edge.errors import ConfigError, SourceError
from edge.evaluation import class_folder, reading
from edge.evaluation.images import read_image
from edge.evaluation.mask_folder import read_mask
from edge.evaluation.pairing import plain
from edge.evaluation.truth import BoxTruth, ClassTruth, MaskTruth, match_labels, numbered
from edge.terminal.progress import bar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.evaluation.truth import Truth

LEAST_IMAGES = 16
BINARY_CLASSES, VOID = 2, 255  # of masks: background and foreground; judged by nobody
# Fewer different-looking images than this share of all are those of one scene.
DIFFERENT_RATIO = 0.25
# Folders of a data set in which images, or what is said of them, lie.
IMAGE_FOLDERS = ("JPEGImages", "images", "image", "train/images", "train/image")
LABEL_FOLDERS = (
    "Annotations", "annotations", "labels", "masks", "label", "mask", "train/labels", "train/label",
    "train/masks",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sample:
    """One image and what is true of it.

    Attributes:
        path: Of the image.
        boxes: `(N, 4)` float32 xyxy, pixels of the upright image.
        class_ids: `(N,)` int32.
        is_crowd: `(N,)`.
        mask: Its file.
        class_id: Of the whole image.
    """

    path: Path
    boxes: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    class_ids: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    is_crowd: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    mask: Path | None = None
    class_id: int = 0


@dataclass(frozen=True, slots=True)
class Labelled:
    """A labelled set.

    Attributes:
        holds: `boxes`, `masks`, `classes` or, without any labels, `images`.
        labels: Text of each class id.
        samples: By name of the image.
        truth: As an evaluation reads it; `None` without labels.
        remarks: Sentences on what was left out, changed or looks odd.
    """

    holds: str
    labels: tuple[str, ...]
    samples: tuple[Sample, ...]
    truth: Truth | None
    remarks: tuple[str, ...]


def read(data: Path, labels: Path | None, *, holds: str, names: Sequence[str] = ()) -> Labelled:
    """Read a set and check it whole.

    Args:
        data: Folder of images, or of a data set with `IMAGE_FOLDERS` and `LABEL_FOLDERS` in it.
        labels: COCO file, or folder of VOC XML, YOLO text or masks; `None` looks for it in `data`.
        holds: What the net needs.
        names: Of the classes, in order; none takes those of the set.

    Raises:
        SourceError: Nothing can be trained on it.
        ConfigError: It holds something else, or a name that was asked for is not in it.
    """
    silence_opencv()
    images_at = next((data / one for one in IMAGE_FOLDERS if (data / one).is_dir()), data)
    images = reading.find_images(images_at)
    if holds == "images":
        kept = [path for path in images if class_folder.is_good(path.parent.name)] or images
        return _looked_at(Labelled(holds, (), tuple(map(Sample, kept)), None, ()))
    found_at = labels or next(
        (data / one for one in LABEL_FOLDERS if (data / one).is_dir()), images_at
    )
    masks = {path for path in images if found_at != images_at and found_at in path.parents}
    truth = reading.read(found_at, [path for path in images if path not in masks])
    if truth.holds != holds:
        raise ConfigError(
            f"{found_at}: expected {holds}, as the net needs them, found {truth.holds}; choose "
            "another net, or name what labels the images with --labels"
        )
    pairs = numbered(truth, images)
    if isinstance(truth, BoxTruth):
        made = _boxes(truth, pairs, names)
    elif isinstance(truth, MaskTruth):
        made = _masks(truth, pairs, names)
    else:
        made = _classes(truth, pairs, names)
    return _looked_at(replace(made, remarks=(*truth.faults.lines(), *made.remarks)))


def _boxes(truth: BoxTruth, pairs: Sequence[tuple[int, Path]], names: Sequence[str]) -> Labelled:
    categories = truth.category_names()
    _check_names("boxes", truth, names=names, known=categories.values())
    labels = tuple(names) or tuple(categories[number] for number in sorted(categories))
    match = match_labels(labels, categories, truth.path)
    ids = {number: at for at, number in enumerate(match.category_ids) if number is not None}
    rows: dict[int, list[tuple[list[float], int, bool]]] = {key: [] for key, _ in pairs}
    for row in truth.fields["annotations"]:
        if row["category_id"] in ids and row["image_id"] in rows:
            crowd = bool(row.get("iscrowd"))
            rows[row["image_id"]].append((row["bbox"], ids[row["category_id"]], crowd))
    samples = []
    for key, path in pairs:
        found = rows[key]
        xywh = np.array([row[0] for row in found], np.float32).reshape(-1, 4)
        samples.append(
            Sample(
                path,
                np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1),
                np.array([row[1] for row in found], np.int32),
                np.array([row[2] for row in found], np.bool_),
            )
        )
    counts = np.bincount(
        np.concatenate([sample.class_ids for sample in samples]), minlength=len(labels)
    )
    if not counts.sum():
        raise SourceError(
            f"{truth.path}: expected boxes to learn from, found none{truth.faults.reason()}"
        )
    missing = [label for label, count in zip(labels, counts, strict=True) if not count]
    remarks = [f"{len(missing)} classes without any box: {', '.join(missing)}"] if missing else []
    return Labelled("boxes", labels, tuple(samples), truth, tuple(remarks))


def _masks(truth: MaskTruth, pairs: Sequence[tuple[int, Path]], names: Sequence[str]) -> Labelled:
    if truth.is_binary and names and len(names) != BINARY_CLASSES:
        raise ConfigError(
            f"{truth.path}: expected {BINARY_CLASSES} names, background and foreground, as the "
            f"masks hold 0 and 255 only, found {len(names)} ({', '.join(names)}); name these two, "
            "or write masks of class ids"
        )
    named = tuple(names) or truth.names
    samples: list[Sample] = []
    highest: list[int] = []
    counts = np.zeros(VOID + 1, np.int64)
    for key, path in pairs:
        try:
            values = read_mask(truth.masks[key], is_binary=truth.is_binary)
            shape = read_image(path).shape[:2]
        except SourceError as error:
            truth.faults.add("images or masks that cannot be read, left out", str(error))
            continue
        if values.shape != shape:
            text = f"{path.name} ({shape[1]}x{shape[0]}, mask {values.shape[1]}x{values.shape[0]})"
            truth.faults.add("masks of another size than their images, left out", text)
            continue
        counts += np.bincount(values.reshape(-1), minlength=len(counts))
        highest.append(int(values[values != VOID].max(initial=0)))
        samples.append(Sample(path, mask=truth.masks[key]))
    most = max(highest, default=0)
    labels = named or tuple(f"class {one}" for one in range(max(most, 1) + 1))
    where = [one.path.name for one, top in zip(samples, highest, strict=True) if top == most]
    if most >= len(labels):
        raise SourceError(
            f"{truth.path}: expected class ids below {len(labels)}, as there are that many names, "
            f"found {most} in the masks of {len(where)} images ({where[0]}); name them all, or "
            "mend these"
        )
    missing = [label for label, count in zip(labels, counts, strict=False) if not count]
    at = (
        ""
        if named
        else f"; the highest id, {most}, is in {len(where)} masks ({', '.join(where[:1])})"
    )
    remarks = [f"{len(missing)} classes without any pixel: {', '.join(missing)}{at}"]
    return Labelled("masks", labels, tuple(samples), truth, tuple(remarks if missing else ()))


def _classes(
    truth: ClassTruth, pairs: Sequence[tuple[int, Path]], names: Sequence[str]
) -> Labelled:
    _check_names("images", truth, names=names, known=truth.names)
    labels = tuple(names) or truth.names
    if len(labels) < class_folder.LEAST_CLASSES:
        raise ConfigError(
            f"{truth.path}: expected {class_folder.LEAST_CLASSES} classes or more to tell apart, "
            f"found {', '.join(labels)} only; name more"
        )
    ids = {plain(label): number for number, label in enumerate(labels)}
    samples = []
    for key, path in pairs:
        folder = truth.names[truth.class_ids[key]]
        if plain(folder) in ids:
            samples.append(Sample(path, class_id=ids[plain(folder)]))
        else:
            truth.faults.add("images of classes that are not asked for, left out", folder)
    return Labelled("classes", labels, tuple(samples), truth, ())


def _check_names(what: str, truth: Truth, *, names: Sequence[str], known: Iterable[str]) -> None:
    """Refuse names of classes that a set does not have; an empty one stands for nothing."""
    have = {plain(name) for name in known}
    if missing := [name for name in names if name and plain(name) not in have]:
        raise ConfigError(
            f"{truth.path}: expected {what} of {', '.join(missing)}, found those of "
            f"{', '.join(known)} only; ask for fewer, or label them"
        )


def _looked_at(found: Labelled) -> Labelled:
    """Return the set without images that can't be decoded; say if they are of one scene.

    Raises:
        SourceError: Too few are left.
    """
    kept, broken, hashes = [], [], []
    with bar("look at") as progress:
        for number, sample in enumerate(found.samples, start=1):
            try:
                hashes.append(difference_hash(read_image(sample.path)))
                kept.append(sample)
            except SourceError as error:
                broken.append(str(error))
            if progress:
                progress(number, len(found.samples))
    remarks = list(found.remarks)
    if broken:
        remarks.append(f"{len(broken)} images that cannot be read, left out: {broken[0]}")
    if len(kept) < LEAST_IMAGES:
        said = f" (noted before: {'; '.join(remarks)})" if remarks else ""
        raise SourceError(
            f"expected {LEAST_IMAGES} labelled images or more, found {len(kept)}{said}; add some"
        )
    different = distinct(np.stack(hashes))
    if different < DIFFERENT_RATIO * len(kept):
        remarks.append(
            f"only {different} of {len(kept)} images differ in more than a few details: they seem "
            "to be of one scene; what is learnt of them may hold nowhere else"
        )
    return replace(found, samples=tuple(kept), remarks=tuple(remarks))


def distinct(hashes: NDArray[np.bool_]) -> int:
    """Return how many of `(N, 64)` hashes look like none that was counted before."""
    kept: list[NDArray[np.bool_]] = []
    for one in hashes.reshape(len(hashes), -1):
        if (
            not kept
            or (np.count_nonzero(np.stack(kept) != one, axis=1) > NEAR_DUPLICATE_BITS).all()
        ):
            kept.append(one)
    return len(kept)
