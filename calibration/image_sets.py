"""The parts that the images of one folder serve in: calibrate, select, judge."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from calibration.dataset import MOST_CALIBRATE, ImageSet, digest_of_contents, draw
from edge.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from edge.terminal.progress import Progress

# A choice between attempts needs less than a verdict.
MOST_SELECT, MOST_JUDGE = 40, 100
# Of a content's digest that tell one image of a folder from all others.
DIGITS = 16


@dataclass(frozen=True, slots=True)
class ImageSets:
    """Images of one folder in parts that share none.

    Attributes:
        calibrate: What ranges and repairs come from.
        select: What the best of several attempts is chosen by.
        judge: What the verdict rests on, looked at once.
    """

    calibrate: ImageSet
    select: ImageSet
    judge: ImageSet


def share_out(
    images: int, *, calibrate: int | None = None, judge: int = MOST_JUDGE
) -> tuple[int, int, int]:
    """Return how many of some images calibrate, select and judge.

    Three tenths calibrate and two select, as far as they are of use, and the rest judges: of 20
    images 6, 4 and 10, of 48 14, 10 and 24, of 100 30, 20 and 50, of 200 60, 40 and 100. Where the
    first is given, the others share what is left as they would.

    Args:
        images: At least 3, and 2 more than `calibrate`.
        calibrate: As many of them, if given.
        judge: At most so many of them.
    """
    first = calibrate or max(1, min(MOST_CALIBRATE, images * 3 // 10))
    left = images - first
    second = max(1, min(MOST_SELECT, round(left * 2 / 7)))
    return first, second, min(judge, left - second)


def draw_sets(
    folder: Path,
    *,
    seed: int,
    calibrate: int | None = None,
    judge: int = MOST_JUDGE,
    progress: Progress | None = None,
) -> ImageSets:
    """Draw the sets of one folder, by seed, without duplicates and near-duplicates across them.

    Args:
        folder: Of images.
        seed: Of the draw.
        calibrate: Images to calibrate with; `None` as `share_out` has it.
        judge: Most images to judge on.
        progress: Called with (images chosen, images wanted).

    Raises:
        SourceError: The folder has too few images.
    """
    wanted = (calibrate or MOST_CALIBRATE) + MOST_SELECT + judge
    drawn = draw(folder, count=wanted, seed=seed, progress=progress)
    found = len(drawn.paths)
    least = (calibrate or 1) + 2
    if found < least:
        raise SourceError(
            f"{folder}: expected {least} images or more, some to calibrate with, some to choose by "
            f"and others to judge on, found {found}; add images"
            f"{' or lower --count' * ((calibrate or 1) > 1)}"
        )
    counts = share_out(min(found, wanted), calibrate=calibrate, judge=judge)
    ends = [sum(counts[:number]) for number in range(len(counts) + 1)]
    return ImageSets(*(_part(drawn, slice(*pair)) for pair in pairwise(ends)))


def without(folder: Path, *, count: int, seed: int, known: Collection[str]) -> ImageSet:
    """Draw images of which none has one of the known digests, or a beginning of it, `DIGITS` long.

    Raises:
        SourceError: The folder holds no other image.
    """
    drawn = draw(folder, count=count + len(known), seed=seed)
    keep = [n for n, content in enumerate(drawn.contents) if content[:DIGITS] not in known]
    if not keep:
        raise SourceError(
            f"{folder}: expected images that the model was not made with, found none among "
            f"{len(drawn.paths)}; give others"
        )
    return _part(drawn, keep[:count])


def _part(whole: ImageSet, chosen: slice | list[int]) -> ImageSet:
    numbers = range(len(whole.paths))[chosen] if isinstance(chosen, slice) else chosen
    contents = tuple(whole.contents[number] for number in numbers)
    return ImageSet(
        whole.root,
        tuple(whole.paths[number] for number in numbers),
        digest_of_contents(contents),
        whole.seed,
        contents=contents,
    )
