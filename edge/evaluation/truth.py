"""What is true of a set of images: boxes, masks or classes, whatever form they were written in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from edge.errors import ModelError, SourceError
from edge.evaluation.faults import Faults
from edge.evaluation.pairing import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class BoxTruth:
    """Boxes of all images, in the form that pycocotools judges by.

    Attributes:
        path: Where they came from.
        fields: `images`, `annotations` and `categories` of COCO; boxes are x, y, width, height in
            pixels of the upright image.
        files: Image id to file; images whose file is missing are not among them.
        faults: What was left out or changed.
    """

    holds: ClassVar = "boxes"
    path: Path
    fields: dict[str, list[dict[str, Any]]]
    files: dict[int, Path]
    faults: Faults = field(default_factory=Faults)

    def category_names(self) -> dict[int, str]:
        """Return category id to name."""
        return {row["id"]: row["name"] for row in self.fields["categories"]}

    def sizes_wh(self) -> dict[int, tuple[int, int]]:
        """Return image id to the width and height that its row says, pixels, where it says both."""
        return {
            row["id"]: (row["width"], row["height"])
            for row in self.fields["images"]
            if row.get("width") and row.get("height")
        }


@dataclass(frozen=True, slots=True)
class MaskTruth:
    """Masks of all images: a file of class ids for each.

    Attributes:
        path: The folder.
        files: Key to image, by the image's name.
        masks: Key to mask.
        names: Text of each class id of the masks; `None` where nothing says: they are then the
            model's own class ids.
        is_binary: The masks hold only 0 and 255: background and foreground, class ids 0 and 1.
        merged: Class id to the first one of the same name, by which it is judged.
        faults: What was left out.
    """

    holds: ClassVar = "masks"
    path: Path
    files: dict[int, Path]
    masks: dict[int, Path]
    names: tuple[str, ...] | None
    is_binary: bool
    merged: dict[int, int]
    faults: Faults

    def sizes_wh(self) -> dict[int, tuple[int, int]]:
        """Return nothing: a mask's shape is held to its image when it is read."""
        return {}


@dataclass(frozen=True, slots=True)
class ClassTruth:
    """What each image shows as a whole.

    Attributes:
        path: The folder.
        files: Key to image.
        names: Text of each class id.
        class_ids: Key to class id.
        faults: What was left out.
    """

    holds: ClassVar = "classes"
    path: Path
    files: dict[int, Path]
    names: tuple[str, ...]
    class_ids: dict[int, int]
    faults: Faults = field(default_factory=Faults)

    def sizes_wh(self) -> dict[int, tuple[int, int]]:
        """Return nothing: no size is said."""
        return {}


Truth = BoxTruth | MaskTruth | ClassTruth


def numbered(truth: Truth, images: Iterable[Path]) -> list[tuple[int, Path]]:
    """Return key and path of those images that are annotated, by rising key."""
    keys = {path: key for key, path in truth.files.items()}
    found = {}
    for path in images:
        if path in keys:
            found[keys[path]] = path
        else:
            truth.faults.add("images without annotation, left out", path.name)
    if not found:
        raise SourceError(
            f"{truth.path}: expected annotations of the images, found none of their names; "
            f"choose the folder that belongs to the annotations{truth.faults.reason()}"
        )
    return sorted(found.items())


@dataclass(frozen=True, slots=True)
class LabelMatch:
    """Which class id is which category, by name.

    Attributes:
        category_ids: For each class id its category id, or `None`.
        labels_without_category: Labels that can't be judged.
        categories_without_label: Categories that the model can't find and is not judged by.
    """

    category_ids: tuple[int | None, ...]
    labels_without_category: tuple[str, ...] = ()
    categories_without_label: tuple[str, ...] = ()

    def known_ids(self) -> list[int]:
        """Return the ids of the categories that both sides know, ascending."""
        return sorted({number for number in self.category_ids if number is not None})

    def lines(self) -> list[str]:
        """Return a sentence for each side that has what the other lacks."""
        labels, categories = self.labels_without_category, self.categories_without_label
        sides = (
            ("labels of the model not judged, as the annotations lack them", labels),
            ("categories not judged, as the model lacks them", categories),
        )
        return [f"{len(names)} {text}: {', '.join(names)}" for text, names in sides if names]


def match_labels(labels: Sequence[str], categories: dict[int, str], path: Path) -> LabelMatch:
    """Match labels with category names, letter for letter.

    Args:
        labels: Of the model; the empty string matches nothing.
        categories: Category id to name; of equal names the first counts.
        path: Of the annotations, for messages.
    """
    by_name = {plain(name): number for number, name in reversed(categories.items()) if name}
    known = {plain(label): label for label in labels if label}
    match = LabelMatch(
        category_ids=tuple(by_name.get(plain(label)) for label in labels),
        labels_without_category=tuple(known[label] for label in known if label not in by_name),
        categories_without_label=tuple(sorted(by_name.keys() - known.keys())),
    )
    if not match.known_ids():
        raise ModelError(
            f"{path}: none of its categories ({', '.join(sorted(by_name)[:5])} …) is a label "
            f"of the model ({', '.join(list(known.values())[:5])} …); give "
            "annotations with the model's own names"
        )
    return match


def merge_names(names: dict[int, str], faults: Faults) -> dict[int, int]:
    """Return each id's own id, or that of the first one of the same name; these are told.

    Exporters write such pairs: a group and the one class in it, both of one name.

    Args:
        names: Id to name; empty names are all different.
        faults: Told of what was merged.
    """
    first: dict[str, int] = {}
    merged = {}
    for number, name in names.items():
        merged[number] = first.setdefault(plain(name), number) if name else number
        if merged[number] != number:
            kind = "categories of a name that stands before, merged with it"
            faults.add(kind, f"{name} ({number} with {merged[number]})")
    return merged
