"""Judge what a model says of an object beside its box: its mask, or its keypoints."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge.decode.keypoints import COCO_KEYPOINTS, KeypointsHead, numbered_points
from edge.draw.results import cover, outline_inplace, pixels
from edge.errors import ModelError, SourceError
from edge.evaluation.box_mistakes import kind_of
from edge.evaluation.box_run import NOTE, BoxRun
from edge.evaluation.judge import MASKS, POINTS, result_rows
from edge.evaluation.label_files import library
from edge.results.poses import POINT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from edge.evaluation.truth import BoxTruth
    from edge.model.model_file import ModelFile
    from edge.results.instances import Instances
    from edge.results.poses import Poses

    Row = dict[str, Any]

# Of points that are not COCO's: about the mean of its own. Source: cocodataset.org, "Keypoint
# Evaluation": 0.025 (eyes) to 0.107 (hips).
OTHER_SIGMA = 0.05
CORNERS = 3  # of a polygon
LINE_PX = 2


class InstanceRun(BoxRun):
    """One model of instance masks on a labelled set; its masks are judged at the images' size."""

    TASK, PREFIX = "instances", "mask "
    by = MASKS
    NOTE = f"{NOTE}; a mask's cells are stretched over the image smoothly, and half a pixel counts"

    def __init__(self, file: ModelFile, truth: BoxTruth, *, threads: int = 1) -> None:
        super().__init__(file, with_masks(truth), threads=threads)

    def _rows(self, image_id: int, shape: tuple[int, ...], found: Instances) -> Iterable[Row]:
        rows = result_rows(image_id, found, self.match)
        for row, mask in zip(rows, found.masks, strict=True):
            row["segmentation"] = encoded(pixels(mask, shape))
            yield row

    def drawn(
        self, image_id: int, image: NDArray[np.uint8], side_px: int | None
    ) -> NDArray[np.uint8]:
        """Return an image with what was found wrong on it, boxes and outlines of masks."""
        small = super().drawn(image_id, image, side_px)
        for pair in self._matches[image_id]:
            row: Row = pair[1] or pair[0] or {}
            outline_inplace(
                small,
                cover(_cells(row["segmentation"]), small.shape[:2]),
                kind_of(pair),
                unit=LINE_PX,
            )
        return small


class PoseRun(BoxRun):
    """One pose model on a labelled set; its points are judged by their similarity (OKS)."""

    TASK, PREFIX = "pose", "OKS "
    NOTE = (
        f"{NOTE}; of an image the best 20 poses count; objects without a labelled point count "
        "neither way"
    )

    def __init__(self, file: ModelFile, truth: BoxTruth, *, threads: int = 1) -> None:
        names = file.description.head_as(KeypointsHead).names
        super().__init__(file, with_points(truth, len(names)), threads=threads)
        self._order = _order(names, truth)
        is_coco = len(names) == len(COCO_KEYPOINTS)
        self.by = POINTS._replace(sigmas=() if is_coco else (OTHER_SIGMA,) * len(names))

    def _rows(self, image_id: int, shape: tuple[int, ...], found: Poses) -> Iterable[Row]:  # noqa: ARG002 - of the run's kind
        for row, points in zip(result_rows(image_id, found, self.match), found.points, strict=True):
            row["keypoints"] = np.nan_to_num(points[self._order]).reshape(-1).tolist()
            yield row

    def drawn(
        self, image_id: int, image: NDArray[np.uint8], side_px: int | None
    ) -> NDArray[np.uint8]:
        """Return an image with what was found wrong on it, boxes and points."""
        small = super().drawn(image_id, image, side_px)
        scale = small.shape[1] / image.shape[1]
        for pair in self._matches[image_id]:
            row: Row = pair[1] or pair[0] or {}
            for x, y, seen in np.reshape(row["keypoints"], (-1, POINT)).tolist():
                if seen > 0:
                    place = round(x * scale), round(y * scale)
                    cv2.circle(small, place, 2 * LINE_PX, kind_of(pair), cv2.FILLED)
        return small


def with_masks(truth: BoxTruth) -> BoxTruth:
    """Return annotations with their masks as pycocotools packs them; those without are left out.

    Raises:
        SourceError: None has a mask.
    """
    sizes = truth.sizes_wh()
    kept = []
    for row in truth.fields["annotations"]:
        packed = _packed(row.get("segmentation"), sizes.get(row["image_id"]))
        if packed is None:
            truth.faults.add_once("objects without a sound mask, left out", f"id {row['id']}")
        else:
            kept.append({**row, "segmentation": packed})
    return _of(kept, truth, "the masks of objects, found boxes alone", key="segmentation")


def _of(kept: list[Row], truth: BoxTruth, wanted: str, *, key: str) -> BoxTruth:
    if not kept:
        raise SourceError(
            f"{truth.path}: expected {wanted}; give a COCO file with '{key}'{truth.faults.reason()}"
        )
    return replace(truth, fields={**truth.fields, "annotations": kept})


def _packed(shape: Any, size_wh: tuple[int, int] | None) -> Any:  # noqa: ANN401 - of a COCO file
    """Return polygons, or runs, as packed runs; `None` where they are none.

    What pycocotools is given is sound: it reads and writes past its memory for the rest.
    """
    if not shape or size_wh is None:
        return None
    masks: Any = library("pycocotools.mask")
    width, height = map(int, size_wh)
    if isinstance(shape, list):
        polygons = [_within(each, (width, height)) for each in shape]
        return masks.merge(masks.frPyObjects(polygons, height, width)) if all(polygons) else None
    if not isinstance(shape, dict) or shape.get("size") != [height, width]:
        return None
    counts = shape.get("counts")
    runs = counts if isinstance(counts, list) else unpacked(str(counts))
    is_sound = (
        all(isinstance(run, int) and run >= 0 for run in runs) and sum(runs) == width * height
    )
    return masks.frPyObjects({**shape, "counts": runs}, height, width) if is_sound else None


def _within(polygon: object, size_wh: tuple[int, int]) -> list[float]:
    """Return x, y, x, y … of a polygon inside its image; of what is none, nothing."""
    try:
        places = np.array(polygon, np.float64).reshape(-1, 2)
    except (TypeError, ValueError):
        return []
    if len(places) < CORNERS or not np.isfinite(places).all():
        return []
    inside: list[float] = np.clip(places, 0, size_wh).reshape(-1).tolist()
    return inside


def unpacked(text: str) -> list[int]:
    """Return the runs that a packed text spells; of what spells none, an empty list.

    Six bits a letter from `0` on: five of a number, lowest first and signed, and one that says that
    more follow; from the fourth number on, the difference from the one but one before.
    Source: pycocotools, `rleToString`.
    """
    runs: list[int] = []
    number = bits = 0
    for letter in text:
        code = ord(letter) - ord("0")
        if not 0 <= code < 64 or bits > 60:  # noqa: PLR2004 - as above
            return []
        number |= (code & 31) << bits
        bits += 5
        if code & 32:
            continue
        number -= (code >> 4 & 1) << bits
        runs.append(number + (runs[-2] if len(runs) > 2 else 0))  # noqa: PLR2004
        number = bits = 0
    return runs


def encoded(mask: NDArray[np.bool_]) -> Any:  # noqa: ANN401
    """Return `(H, W)` as pycocotools packs it."""
    return library("pycocotools.mask").encode(np.asfortranarray(mask.view(np.uint8)))


def _cells(packed: Any) -> NDArray[np.bool_]:  # noqa: ANN401 - of `encoded`
    """Return a packed mask, `(H, W)`."""
    height, width = packed["size"]
    runs = unpacked(packed["counts"].decode())
    is_inside = np.arange(len(runs)) % 2 == 1
    return np.ascontiguousarray(np.repeat(is_inside, runs).reshape(width, height).T)


def with_points(truth: BoxTruth, count: int) -> BoxTruth:
    """Return annotations that have these many keypoints; those without are left out.

    Raises:
        SourceError: None has them.
    """
    kept = []
    for row in truth.fields["annotations"]:
        points: Any = row.get("keypoints")
        if is_points(points, count):
            labelled = sum(seen > 0 for seen in points[2::POINT])
            kept.append({**row, "num_keypoints": labelled})
        else:
            truth.faults.add_once(f"objects without {count} keypoints, left out", f"id {row['id']}")
    wanted = f"objects with {count} keypoints each, as the model has them, found none"
    return _of(kept, truth, wanted, key="keypoints")


def is_points(points: object, count: int) -> bool:
    """Whether a value is x, y and visibility of these many points."""
    return (
        isinstance(points, list)
        and len(points) == count * POINT
        and all(isinstance(each, (int, float)) and np.isfinite(each) for each in points)
    )


def _order(names: Sequence[str], truth: BoxTruth) -> list[int]:
    """Return the model's number of each point of the annotations, by name where both have names."""
    for row in truth.fields["categories"]:
        said = row.get("keypoints")
        if isinstance(said, list) and len(said) == len(names):
            said = [str(name) for name in said]
            if sorted(said) == sorted(names):
                return [names.index(name) for name in said]
            if tuple(names) != numbered_points(len(names)):
                raise ModelError(
                    f"{truth.path}: its keypoints ({', '.join(said)}) are not the model's "
                    f"({', '.join(names)}); give annotations with the model's own names"
                )
    return list(range(len(names)))
