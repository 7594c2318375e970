"""Which image an annotation is about: one rule for every form of annotation.

Sets repeat names: `images/train/1.jpg` lies beside `images/test/1.jpg`. Among the images of the
wanted name the closest is taken, and what is equally close to several is left out and named.
"""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from edge.errors import SourceError
from edge.evaluation.faults import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge.evaluation.faults import Faults

AMBIGUOUS = "annotations that fit several images, or one image equally, left out"
TWICE = "images annotated twice, the second left out"

Parts = tuple[str, ...]
Closeness = tuple[int, int, int, int]
R = TypeVar("R", int, Closeness)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """What one annotation says of the image it is about.

    Attributes:
        place: The file that it stands in.
        text: What it is called in messages.
        name: Of the image as it stands there, with or without folders; may be empty.
        stem: Of an image where none has the name; empty where only the name counts.
        content: The annotation.
    """

    place: Path
    text: str
    name: str = ""
    stem: str = ""
    content: Any = None


def plain(name: str) -> str:
    """Return a name in Unicode's composed form; macOS writes accents as letters of their own."""
    return unicodedata.normalize("NFC", name)


def absolute(path: Path) -> Path:
    """Return a path from the root on, without `..`; links are not followed."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - `resolve` follows links


class ImageIndex:
    """Finds images by name."""

    def __init__(self, images: Sequence[Path]) -> None:
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        self._paths = set(map(absolute, images))
        for path in images:
            self._by_name[plain(path.name)].append(path)
            self._by_stem[plain(path.stem)].append(path)

    def holds(self, path: Path) -> bool:
        """Return whether a file is one of the images."""
        return absolute(path) in self._paths

    def candidates(self, claim: Claim) -> list[Path]:
        """Return the images of a claim's name, or else of its stem."""
        parts = _parts(claim.name)
        found = self._by_name.get(plain(parts[-1]), []) if parts else []
        if not found and claim.stem:
            found = self._by_stem.get(plain(claim.stem), [])
        # A mask may lie beside its image, and is named as images are.
        return [path for path in found if absolute(path) != absolute(claim.place)]

    def pair(
        self, claims: Sequence[Claim], source: Path, faults: Faults
    ) -> list[tuple[Claim, Path]]:
        """Return each claim with its image, in the order of the claims.

        Args:
            claims: All of a set, as two of them may claim one image.
            source: The set, for messages.
            faults: Told of the claims that have no image of their own.
        """
        claimed: dict[Path, list[tuple[Closeness, Claim]]] = defaultdict(list)
        for claim in claims:
            found = _closest([(_closeness(claim, path), path) for path in self.candidates(claim)])
            if len(found) == 1:
                claimed[found[0][1]].append((found[0][0], claim))
            elif found:
                faults.add(AMBIGUOUS, f"{claim.text} ({', '.join(str(path) for _, path in found)})")
            else:
                faults.add(ABSENT, claim.text)
        owners = {_owner(rows, faults): path for path, rows in claimed.items()}
        pairs = [(claim, owners[claim]) for claim in claims if claim in owners]
        if not pairs:
            raise SourceError(
                f"{source}: expected annotations of the images, found none of their names; choose "
                f"the folder that belongs to the images{faults.reason()}"
            )
        return pairs

    def chosen(self, names: Iterable[str]) -> set[Path]:
        """Return the images that are named, with or without suffix, with or without folders.

        A name with folders takes the images whose folders it shares most of; one without takes all.
        """
        out: set[Path] = set()
        for name in filter(_parts, names):
            *folders, stem = _parts(name)
            found = self.candidates(Claim(Path(), name, name=name, stem=stem))
            rated = [(_tail(tuple(folders), path.parent.parts), path) for path in found]
            out |= {path for _, path in _closest(rated)}
        return out


def _owner(rows: list[tuple[Closeness, Claim]], faults: Faults) -> Claim | None:
    """Return the claim that is closest to an image; `None` where several are, and differ."""
    closest = _closest(rows)
    best = [claim for _, claim in closest]
    for closeness, claim in rows:
        if claim not in best:
            is_near = closeness[:3] == closest[0][0][:3]
            faults.add(TWICE if is_near else ABSENT, claim.text)
    differ = len({(claim.name, claim.place.parent) for claim in best}) > 1
    for claim in best if differ else best[1:]:
        faults.add(AMBIGUOUS if differ else TWICE, claim.text)
    return None if differ else best[0]


def _closest(rated: list[tuple[R, T]]) -> list[tuple[R, T]]:
    best = max((rating for rating, _ in rated), default=None)
    return [row for row in rated if row[0] == best]


def _closeness(claim: Claim, image: Path) -> Closeness:
    """Return a key that is larger the closer an image is.

    The folders written before the name decide, then those that the image's and the annotation's
    file end in (`labels/train`, `images/train`), then the way from one to the other.
    """
    parts = _parts(claim.name)
    folders, place = _folders(image), _folders(claim.place)
    shared = _tail(place[::-1], folders[::-1])
    return (
        _tail(parts[:-1], folders),
        _tail(place, folders),
        2 * shared - len(folders) - len(place),
        int(image.name in parts[-1:]) + int(image.stem in (claim.stem, claim.place.stem)),
    )


def _tail(one: Parts, other: Parts) -> int:
    """Return how many folders two paths end in alike."""
    count = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if plain(a) != plain(b):
            break
        count += 1
    return count


def _parts(name: str) -> Parts:
    return PurePosixPath(name.strip().replace("\\", "/")).parts


def _folders(path: Path) -> Parts:
    return absolute(path).parent.parts
