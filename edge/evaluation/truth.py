"""What is true of a set of images: boxes or masks, whatever form they were written in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge.errors import ModelError, SourceError
from edge.evaluation.faults import Faults

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

    path: Path
    fields: dict[str, list[dict[str, Any]]]
    files: dict[int, Path]
    faults: Faults = field(default_factory=Faults)

    def numbered(self, paths: Iterable[Path]) -> list[tuple[int, Path]]:
        """Return (image id, path) of those paths that are annotated, by rising id.

        Raises:
            SourceError: None is.
        """
        ids = {path.name: number for number, path in self.files.items()}
        return _numbered(paths, ids, source=self.path, faults=self.faults)

    def category_names(self) -> dict[int, str]:
        """Return category id to name."""
        return {int(row["id"]): str(row["name"]) for row in self.fields["categories"]}


@dataclass(frozen=True, slots=True)
class MaskTruth:
    """Masks of all images: a file of class ids for each.

    Attributes:
        path: The folder.
        files: (image, mask), by the image's name.
        names: Text of each class id of the masks; `None` where nothing says: they are then the
            model's own class ids.
        is_binary: The masks hold only 0 and 255: background and foreground, class ids 0 and 1.
        faults: What was left out.
    """

    path: Path
    files: tuple[tuple[Path, Path], ...]
    names: tuple[str, ...] | None
    is_binary: bool
    faults: Faults = field(default_factory=Faults)

    def numbered(self, paths: Iterable[Path]) -> list[tuple[int, Path]]:
        """Return (position in `files`, path) of those paths that have a mask, by rising position.

        Raises:
            SourceError: None has.
        """
        ids = {image.name: number for number, (image, _) in enumerate(self.files)}
        return _numbered(paths, ids, source=self.path, faults=self.faults)


Truth = BoxTruth | MaskTruth


@dataclass(frozen=True, slots=True)
class LabelMatch:
    """Which class id is which category, by name.

    Attributes:
        category_ids: For each class id its category id, or `None`.
        labels_without_category: Labels that can't be judged.
        categories_without_label: Categories that the model can't find and is not judged by.
    """

    category_ids: tuple[int | None, ...]
    labels_without_category: tuple[str, ...]
    categories_without_label: tuple[str, ...]

    def known_ids(self) -> list[int]:
        """Return the ids of the categories that both sides know, ascending."""
        return sorted({number for number in self.category_ids if number is not None})

    def lines(self) -> list[str]:
        """Return a sentence for each side that has what the other lacks."""
        sides = {
            "labels of the model not judged, as the annotations lack them":
                self.labels_without_category,
            "categories not judged, as the model lacks them": self.categories_without_label,
        }  # fmt: skip
        return [
            f"{len(names)} {text}: {', '.join(names)}" for text, names in sides.items() if names
        ]


def match_labels(labels: Sequence[str], categories: dict[int, str], path: Path) -> LabelMatch:
    """Match labels with category names, letter for letter.

    Args:
        labels: Of the model; the empty string matches nothing.
        categories: Category id to name.
        path: Of the annotations, for messages.

    Raises:
        ModelError: None matches.
    """
    by_name = {name: number for number, name in categories.items()}
    match = LabelMatch(
        category_ids=tuple(by_name.get(label) if label else None for label in labels),
        labels_without_category=tuple(label for label in labels if label and label not in by_name),
        categories_without_label=tuple(sorted(by_name.keys() - set(labels))),
    )
    if not match.known_ids():
        raise ModelError(
            f"{path}: none of its categories ({', '.join(sorted(by_name)[:5])} …) is a label "
            f"of the model ({', '.join([label for label in labels if label][:5])} …); give "
            "annotations with the model's own names"
        )
    return match


def _numbered(
    paths: Iterable[Path], ids: dict[str, int], *, source: Path, faults: Faults
) -> list[tuple[int, Path]]:
    found: dict[int, Path] = {}
    for path in paths:
        number = ids.get(path.name)
        if number is None:
            faults.add("images without annotation, left out", path.name)
        elif number in found:
            faults.add("images of a name that stands before, left out", str(path))
        else:
            found[number] = path
    if not found:
        raise SourceError(
            f"{source}: expected annotations of the images, found none of their names; "
            "choose the folder that belongs to the annotations"
        )
    return sorted(found.items())
