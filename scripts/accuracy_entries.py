"""What `scripts/accuracy_table` converts: models of the development assets, and what each needs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PHOTOS = "data/coco_train178"
INSTANCES = f"{PHOTOS}/instances.json"
PERSON = "person"
# Portrait nets see somebody near: those photographs where a person's box covers this much.
NEAR_RATIO = 0.1
# Invoke of float32 over that of int8, by kind of net.
SEPARABLE_GOAL, PLAIN_GOAL = 1.8, 3.5
MASK_OPTIONS = ("--family", "unet", "--input", "rgb", "--resize", "stretch")


@dataclass(frozen=True, slots=True)
class Entry:
    """One model.

    Attributes:
        model: Path in the assets.
        options: Of `edge-convert run`, beside images, annotations and outputs.
        labelled: Boxes of the photographs fit the model; else it is compared with itself only.
        portraits: Only the photographs with a person near.
        labels: Where the file has none.
        goal: Least invoke ratio float ÷ int8.
        kind: Of its layers, for people.
        what: The model, for people.
    """

    model: str
    options: tuple[str, ...]
    goal: float
    kind: str
    what: str
    labelled: bool = True
    portraits: bool = False
    labels: tuple[str, ...] = ()


ENTRIES = {
    "ssdlite_mobilenet_v2": Entry(
        "models/ssdlite_mobilenet_v2_coco_tfjs/model.json", ("--family", "ssd"),
        SEPARABLE_GOAL, "MobileNet", "SSDLite-MobileNetV2, TF.js, 300x300",
    ),
    "yolov3_tiny": Entry(
        "models/yolov3_tiny/yolov3-tiny.mask123.cfg",
        ("--family", "yolo", "--weights", "{assets}/models/yolov3_tiny/yolov3-tiny.weights"),
        PLAIN_GOAL, "plain convolutions", "yolov3-tiny with masks 1,2,3, Darknet, 416x416",
    ),
    "yolo_fastest": Entry(
        "models/yolo_fastest/yolo-fastest-1.1.cfg", ("--family", "yolo"),
        SEPARABLE_GOAL, "MobileNet", "Yolo-Fastest 1.1, Darknet, 320x320",
    ),
    "yolo_fastest_body": Entry(
        "models/yolo_fastest/yolo-fastest-1.1_body.cfg", ("--family", "yolo"),
        SEPARABLE_GOAL, "MobileNet", "Yolo-Fastest 1.1 body, Darknet, 320x320", labels=(PERSON,),
    ),
    "yolox_nano": Entry(
        "models/yolox_nano/yolox_nano.onnx",
        ("--family", "yolo", "--input", "bgr", "--range", "0..255", "--resize", "letterbox"),
        SEPARABLE_GOAL, "separable convolutions", "YOLOX-nano, ONNX, 416x416",
    ),
    "portrait_mnv3": Entry(
        # The range is that which its authors' own int8 file has.
        "models/portrait_unet/mnv3_seg_float.tflite", (*MASK_OPTIONS, "--range=-1..1"),
        SEPARABLE_GOAL, "MobileNet", "portrait net on MobileNetV3, .tflite, 256x256",
        labelled=False, portraits=True,
    ),
    "portrait_prisma": Entry(
        "models/portrait_unet/prisma-net.tflite", (*MASK_OPTIONS, "--range", "0..1"),
        SEPARABLE_GOAL, "separable convolutions", "portrait U-Net (Prisma-net), .tflite, 256x256",
        labelled=False, portraits=True,
    ),
    "portrait_deeplab": Entry(
        "models/portrait_unet/frozen_inference_graph.pb", (*MASK_OPTIONS, "--size", "513x513"),
        SEPARABLE_GOAL, "MobileNet", "portrait DeepLab, TF1 frozen graph, 513x513",
        labelled=False, portraits=True,
    ),
}  # fmt: skip


def options_of(entry: Entry, assets: Path, work: Path) -> list[str]:
    """Return the arguments of `edge-convert run`, all but what says where the result goes.

    Args:
        entry: The model.
        assets: The development assets.
        work: Folder for a file of labels and a folder of portraits.
    """
    images = assets / PHOTOS
    arguments = [str(assets / entry.model)]
    arguments += [word.format(assets=assets) for word in entry.options]
    if entry.labels:
        file = work / "labels.txt"
        file.write_text("".join(f"{label}\n" for label in entry.labels))
        arguments += ["--labels", str(file)]
    if entry.portraits:
        images = _portraits(assets, work)
    if entry.labelled:
        arguments += ["--annotations", str(assets / INSTANCES)]
    return [*arguments, "--images", str(images)]


def _portraits(assets: Path, work: Path) -> Path:
    """Return a folder with links to the photographs of people near by."""
    folder = work / "coco_train178_people"
    folder.mkdir(exist_ok=True)
    for name in near_people(json.loads((assets / INSTANCES).read_text("utf-8"))):
        link = folder / name
        if not link.exists():
            link.symlink_to((assets / PHOTOS / "images" / name).resolve())
    return folder


def near_people(instances: dict[str, list[dict[str, object]]]) -> list[str]:
    """Return the file names of a COCO file's images with a person's box above `NEAR_RATIO`."""
    people = {row["id"] for row in instances["categories"] if row["name"] == PERSON}
    images = {row["id"]: row for row in instances["images"]}
    found = set()
    for row in instances["annotations"]:
        image = images[row["image_id"]]
        area_px = row["bbox"][2] * row["bbox"][3]
        share = area_px / (image["width"] * image["height"])
        if row["category_id"] in people and not row["iscrowd"] and share >= NEAR_RATIO:
            found.add(str(image["file_name"]))
    return sorted(found)
