"""Pixels of a segmenter against masks: the arithmetic, the labels, and what is left out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edge.errors import ModelError, SourceError
from edge.evaluation import mask_folder, page
from edge.evaluation.mask_folder import VOID
from edge.evaluation.mask_run import (
    MaskRun,
    PixelSample,
    class_dices,
    class_ious,
    pixel_confusion,
    stretch,
)
from edge.evaluation.measuring import measure

WIDTH, HEIGHT = 16, 12
CLASSES = 3


def confusion_by_loop(true, said):
    counts = np.zeros((CLASSES, CLASSES), int)
    for row in range(true.shape[0]):
        for column in range(true.shape[1]):
            cell = said[
                int((row + 0.5) * said.shape[0] / true.shape[0]),
                int((column + 0.5) * said.shape[1] / true.shape[1]),
            ]
            if true[row, column] != VOID:
                counts[true[row, column], cell] += 1
    return counts


def maps(values):
    shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))
    return arrays.arrays(np.uint8, shapes, elements=st.sampled_from(values))


@given(true=maps([0, 1, 2, VOID]), said=maps([0, 1, 2]))
def test_pixels_are_counted_as_a_loop_would(true, said):
    found = pixel_confusion(true, said, classes=CLASSES)

    np.testing.assert_array_equal(found, confusion_by_loop(true, said))


def test_iou_and_dice_of_known_counts():
    counts = np.array([[6, 0, 0], [8, 2, 0], [7, 3, 0]])

    np.testing.assert_allclose(class_ious(counts), [6 / 9, 0, 0])
    np.testing.assert_allclose(class_dices(counts), [12 / 15, 0, 0])


def test_the_mean_is_over_the_classes_that_the_masks_show():
    sample = PixelSample(np.array([[[6, 0, 0], [8, 0, 0], [7, 1, 0]]]))

    assert sample.values(np.array([0])) == pytest.approx([6 / 9, 6 / 8])
    assert np.isnan(PixelSample(np.zeros((1, 3, 3), int)).values(np.array([0]))).all()


def test_cells_are_stretched_by_their_centres():
    cells = np.array([[0, 1], [2, 3]], np.uint8)

    np.testing.assert_array_equal(
        stretch(cells, (4, 4)), [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    )
    np.testing.assert_array_equal(stretch(cells, (1, 1)), [[3]])


def paint(ids):
    """Return an image whose brightest channel is red where ids are 0, green at 1, blue at 2."""
    image = np.full((*ids.shape, 3), 20, np.uint8)
    for class_id in range(CLASSES):
        image[ids == class_id, 2 - class_id] = 200
    return image


@pytest.fixture
def ids():
    return np.random.default_rng(0).integers(0, CLASSES, (HEIGHT, WIDTH)).astype(np.uint8)


def masks(folder, *pairs, names=None):
    """Write (image, mask) pairs; return (image paths, truth)."""
    (folder / "masks").mkdir()
    images = []
    for number, (image, mask) in enumerate(pairs):
        images.append(folder / f"{number}.png")
        cv2.imwrite(str(images[-1]), image)
        cv2.imwrite(str(folder / "masks" / f"{number}.png"), mask)
    return images, mask_folder.read(folder / "masks", images, names=names)


def evaluate(segmenter, images, truth, resamples=20):
    measured = measure([segmenter], truth, images, seed=0, resamples=resamples)
    return measured, measured.evaluations[0]


def test_a_perfect_segmenter_has_a_mean_iou_of_one(segmenter, ids, tmp_path):
    images, truth = masks(tmp_path, (paint(ids), ids), (paint(ids.copy()[::-1]), ids[::-1]))

    _, result = evaluate(segmenter, images, truth)

    assert result.metrics == {"mIoU": 1, "pixel accuracy": 1, "mean Dice": 1}
    assert result.intervals == {"mIoU": (1, 1), "pixel accuracy": (1, 1)}
    assert result.mistakes == ()
    assert (result.task, result.images, result.objects) == ("segmentation", 2, 2 * ids.size)
    assert set(result.stages_ms) == {"preprocess", "invoke", "decode", "total"}


def test_wrong_pixels_are_counted_by_class(segmenter, ids, tmp_path):
    wrong = ids.copy()
    wrong[0, :4] = (ids[0, :4] + 1) % CLASSES
    images, truth = masks(tmp_path, (paint(ids), ids), (paint(ids), wrong))

    _, result = evaluate(segmenter, images, truth)

    assert result.metrics["pixel accuracy"] == 1 - 4 / (2 * ids.size)
    low, high = result.intervals["pixel accuracy"]
    assert low == pytest.approx(1 - 4 / ids.size)
    assert high == 1
    np.testing.assert_array_equal(
        result.confusion.counts,
        confusion_by_loop(ids, ids) + confusion_by_loop(wrong, ids),
    )
    assert [(row.key, row.count) for row in result.mistakes] == [(1, 4)]


def test_void_is_not_judged(segmenter, ids, tmp_path):
    mask = ids.copy()
    mask[0] = VOID
    images, truth = masks(tmp_path, (paint(np.zeros_like(ids)), mask))

    _, result = evaluate(segmenter, images, truth)

    assert result.objects == ids.size - WIDTH
    assert truth.faults.lines() == []


def test_class_ids_without_a_label_are_named_and_not_judged(segmenter, ids, tmp_path):
    mask = ids.copy()
    mask[0] = 9
    images, truth = masks(tmp_path, (paint(ids), mask))

    _, result = evaluate(segmenter, images, truth)

    assert result.metrics["mIoU"] == 1
    assert truth.faults.lines() == [
        "1 class ids that no label has, their pixels left out: 0.png (9)"
    ]


def test_names_map_the_masks_class_ids_and_the_rest_is_listed(segmenter, ids, tmp_path):
    # 0 is green there, 1 is red, 2 is nothing the model knows.
    mask = np.array([1, 0, 2], np.uint8)[ids]
    images, truth = masks(tmp_path, (paint(ids), mask), names=("green", "red", "purple"))

    _, result = evaluate(segmenter, images, truth)

    assert result.metrics["mIoU"] == 1
    assert result.objects == (mask != 2).sum()
    assert "1 labels of the model not judged, as the annotations lack them: blue" in result.notes
    assert "1 categories not judged, as the model lacks them: purple" in result.notes


def test_of_two_class_ids_with_one_name_both_count_and_it_is_said(segmenter, ids, tmp_path):
    mask = np.array([3, 1, 2], np.uint8)[ids]
    mask[0] = np.array([0, 1, 2], np.uint8)[ids[0]]
    images, truth = masks(tmp_path, (paint(ids), mask), names=("red", "green", "blue", "red"))

    _, result = evaluate(segmenter, images, truth)

    assert (result.metrics["mIoU"], result.objects) == (1, ids.size)
    assert truth.faults.lines() == [
        "1 categories of a name that stands before, merged with it: red (3 with 0)"
    ]


def test_a_fault_of_a_mask_is_counted_once_however_many_models_meet_it(segmenter, ids, tmp_path):
    mask = ids.copy()
    mask[0] = 9
    images, truth = masks(tmp_path, (paint(ids), mask), (paint(ids), ids[::-1]))

    measured = measure([segmenter, segmenter], truth, images, seed=0, resamples=0)
    page.write_worst(measured, tmp_path / "worst")

    assert truth.faults.lines() == [
        "1 class ids that no label has, their pixels left out: 0.png (9)"
    ]


def test_what_only_the_model_knows_is_background_to_the_masks(segmenter, ids, tmp_path):
    # To these masks blue is background, which the model calls red.
    mask = np.array([0, 1, 0], np.uint8)[ids]
    images, truth = masks(tmp_path, (paint(ids), mask), names=("red", "green"))

    _, result = evaluate(segmenter, images, truth)

    assert result.metrics["mIoU"] == 1


def test_binary_masks_need_names_where_the_model_has_many_labels(segmenter, ids, tmp_path):
    images, truth = masks(tmp_path, (paint(ids), (ids > 0).astype(np.uint8) * 255))

    with pytest.raises(ModelError, match=r"the masks tell foreground .* the model has 3 labels"):
        evaluate(segmenter, images, truth)


def test_masks_of_another_shape_and_unreadable_ones_are_named(segmenter, ids, tmp_path):
    images, truth = masks(
        tmp_path, (paint(ids), ids), (paint(ids), ids[:6]), (paint(ids), ids), (paint(ids), ids)
    )
    truth.masks[2].write_bytes(b"no mask")
    images[3].write_bytes(b"no image")

    _, result = evaluate(segmenter, images, truth)

    assert result.images == 1
    (line,) = truth.faults.lines()
    assert line.startswith("3 images or masks that cannot be read, left out: ")
    assert "1.png: expected the shape of its image, 16x12, found 16x6" in line
    assert "2.png: expected an image" in line
    assert "3.png: expected a JPEG, PNG or BMP image" in line


def test_no_readable_image_at_all_is_an_error(segmenter, ids, tmp_path):
    images, truth = masks(tmp_path, (paint(ids), ids))
    images[0].write_bytes(b"no image")

    with pytest.raises(SourceError, match="expected images to judge by, found none"):
        evaluate(segmenter, images, truth)


def test_masks_of_half_the_resolution_are_judged_at_theirs(segmenter, tmp_path):
    coarse = np.random.default_rng(1).integers(0, CLASSES, (6, 8)).astype(np.uint8)
    images, truth = masks(tmp_path, (paint(stretch(coarse, (HEIGHT, WIDTH))), coarse))

    _, result = evaluate(segmenter, images, truth)

    assert (result.metrics["mIoU"], result.objects) == (1, 48)


def test_the_worst_image_is_painted_red_where_it_is_wrong(segmenter, ids, tmp_path):
    wrong = ids.copy()
    wrong[:, 8:] = (ids[:, 8:] + 1) % CLASSES
    images, truth = masks(tmp_path, (paint(ids), ids), (paint(ids), wrong))
    measured, _ = evaluate(segmenter, images, truth)

    (path,) = page.write_worst(measured, tmp_path / "worst")

    assert path.name == "01-1.jpg"
    found = cv2.imread(str(path))
    assert found.shape == (HEIGHT, 2 * WIDTH, 3)
    right, wrong_half = found[:, WIDTH : WIDTH + 7, 2], found[:, -7:, 2]
    assert wrong_half.min() > right.max()


def test_a_segmenter_is_not_judged_by_boxes(segmenter, truth, labelled):
    with pytest.raises(ModelError, match="a segmenter is judged by masks"):
        measure([segmenter], truth, labelled[0], seed=0, resamples=1)


def test_a_detector_is_not_judged_by_masks(file, ids, tmp_path):
    images, truth = masks(tmp_path, (paint(ids), ids))

    with pytest.raises(ModelError, match="a detector is judged by boxes"):
        measure([file], truth, images, seed=0, resamples=1)


def test_a_mask_run_needs_no_pycocotools(segmenter, ids, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pycocotools", None)
    monkeypatch.setitem(__import__("sys").modules, "pycocotools.cocoeval", None)
    images, truth = masks(tmp_path, (paint(ids), ids))

    assert evaluate(segmenter, images, truth)[1].metrics["mIoU"] == 1
    assert isinstance(MaskRun(segmenter, truth), MaskRun)
    assert Path(truth.path).is_dir()
