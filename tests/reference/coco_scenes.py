"""A labelled set in the COCO format, made of the shipped scenes and a detector's own findings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2

from edge.model.default import default_model_path
from edge.model.loaded import load_model

if TYPE_CHECKING:
    from edge.model.model_file import ModelFile

SCENES = Path(default_model_path()).parents[2] / "capture" / "scenes"
CROPS = 6
# So that few annotations equal a detection, as in life.
SHIFT_PX = 6.0


def write_set(folder: Path, file: ModelFile) -> tuple[list[Path], Path]:
    """Write crops of the scenes, and annotations near what the model finds; return both.

    The first image is left without an annotation.
    """
    detector = load_model(file).with_thresholds(score=0.2)
    names = sorted({label for label in file.description.labels if label})
    ids = {name: number for number, name in enumerate(names, start=1)}
    paths, images, annotations = [], [], []
    for scene in sorted(SCENES.glob("*.jpg")):
        whole = cv2.imread(str(scene))
        for crop in range(CROPS):
            path = folder / f"{scene.stem}-{crop}.png"
            image = whole[crop * 8 :, crop * 12 :].copy()
            cv2.imwrite(str(path), image)
            number = len(paths) + 1
            paths.append(path)
            images.append({"id": number, "file_name": path.name})
            if number > 1:
                found = detector(image)
                annotations += _annotations(number, found, file.description.labels, ids=ids,
                                            width=image.shape[1])  # fmt: skip
    for number, row in enumerate(annotations, start=1):
        row["id"] = number
    truth = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for name, number in ids.items()],
    }
    target = folder / "instances.json"
    target.write_text(json.dumps(truth))
    return paths, target


def _annotations(
    image_id: int, found: Any, labels: tuple[str, ...], *, ids: dict[str, int], width: int
) -> list[dict[str, Any]]:
    rows = []
    for number, (box, class_id) in enumerate(zip(found.boxes, found.class_ids, strict=True)):
        x_min, y_min, x_max, y_max = (float(side) for side in box)
        # No box sticks out of its image.
        shift = min(SHIFT_PX * (1 + number % 5), width - x_max)
        box_width, box_height = x_max - x_min, y_max - y_min
        rows.append({
            "image_id": image_id, "category_id": ids[labels[class_id]],
            "bbox": [x_min + shift, y_min, box_width, box_height], "area": box_width * box_height,
            "iscrowd": int(number % 7 == 6),
        })  # fmt: skip
    return rows
