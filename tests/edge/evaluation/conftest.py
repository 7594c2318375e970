"""One labelled set of the shipped scenes, and the shipped model's results on it."""

from __future__ import annotations

import cv2
import factories
import numpy as np
import pytest
from reference import coco_scenes

from edge.capture.images import load_image
from edge.decode.segmentation import SegmentationHead
from edge.evaluation import reading
from edge.evaluation.box_run import BoxRun
from edge.evaluation.judge import judge
from edge.evaluation.truth import numbered
from edge.model import model_file
from edge.model.default import default_model_path
from edge.model.model_file import ModelFile
from edge.model.readers.manifest import digest_of


@pytest.fixture(scope="session")
def file():
    """Return the shipped model."""
    return model_file.read(default_model_path())


@pytest.fixture(scope="session")
def worse(file):
    """Return the same model as it would be if suppression let doubles live."""
    changed = file.manifest.replace(iou_threshold=0.99)
    return ModelFile.of(file.path, file.flatbuffer, changed, anchors=file.description.anchors)


@pytest.fixture(scope="session")
def labelled(file, tmp_path_factory):
    """Return (image paths, annotations)."""
    return coco_scenes.write_set(tmp_path_factory.mktemp("set"), file)


@pytest.fixture(scope="session")
def truth(labelled):
    paths, annotations = labelled
    return reading.read(annotations, paths)


@pytest.fixture(scope="session")
def box_run(file, truth, labelled):
    """Return the shipped model's run over all images."""
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    run = BoxRun(file, truth)
    for number, path in numbered(truth, labelled[0]):
        run.see(number, load_image(path))
    return run


@pytest.fixture(scope="session")
def judged(box_run, truth):
    """Return pycocotools' evaluation of it, all areas together."""
    return judge(
        truth, box_run.results, image_ids=sorted(truth.files),
        category_ids=box_run.match.known_ids(), all_areas=False,
    )  # fmt: skip


@pytest.fixture(scope="session")
def segmenter():
    """Return a segmenter that says which of red, green and blue is the brightest of a pixel."""
    pytest.importorskip("ai_edge_litert", reason="the model is written with LiteRT's schema")
    from reference import tiny_model  # noqa: PLC0415 - a board may have another runtime

    flatbuffer = tiny_model.build()
    described = factories.manifest(
        name="brightest",
        input=factories.input_transform(size_wh=tiny_model.INPUT_WH, resize="stretch"),
        outputs={"classes": "sum"},
        head=SegmentationHead(activation="softmax", background=0),
        labels=("red", "green", "blue"),
        digest=digest_of(flatbuffer),
    )
    return factories.model_file(flatbuffer=flatbuffer, manifest=described, anchors=None)


@pytest.fixture
def images(tmp_path):
    """Return two images of 40 x 30 pixels."""
    (tmp_path / "images").mkdir()
    paths = [tmp_path / "images" / "a.png", tmp_path / "images" / "b.png"]
    for path in paths:
        cv2.imwrite(str(path), np.zeros((30, 40, 3), np.uint8))
    return paths
