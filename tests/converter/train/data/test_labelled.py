"""A labelled set is checked before anything is trained: what is wrong is named, and left out."""

import json

import cv2
import numpy as np
import pytest

from converter.train.data import labelled
from converter.train.data.batches import Batches
from converter.train.data.parts import share_out
from edge.errors import ConfigError, SourceError


def image(path, seed, *, same=False):
    rng = np.random.default_rng(0 if same else seed)
    small = rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)
    pixels = cv2.resize(small, (80, 60), interpolation=cv2.INTER_CUBIC)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels)


def coco(folder, *, count=20, same=False, extra=()):
    for number in range(count):
        image(folder / "images" / f"{number:02}.png", number, same=same)
    rows = [
        {"id": n + 1, "image_id": n, "category_id": 1 + n % 2, "bbox": [5, 5, 20 + n, 30]}
        for n in range(count)
    ]
    fields = {
        "images": [
            {"id": n, "file_name": f"{n:02}.png", "width": 80, "height": 60} for n in range(count)
        ],
        "annotations": [*rows, *extra],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    path = folder / "instances.json"
    path.write_text(json.dumps(fields))
    return path


def test_a_sound_set_gives_boxes_in_pixels_and_its_own_class_ids(tmp_path):
    found = labelled.read(tmp_path, coco(tmp_path), holds="boxes")
    assert found.labels == ("cat", "dog")
    assert found.remarks == ()
    assert found.samples[3].boxes.tolist() == [[5, 5, 28, 35]]
    assert found.samples[3].class_ids.tolist() == [1]


def test_faults_are_counted_and_named_and_the_rest_is_used(tmp_path):
    bad = [
        {"id": 90, "image_id": 1, "category_id": 1, "bbox": [5, 5, 0, 30]},
        {"id": 91, "image_id": 1, "category_id": 7, "bbox": [5, 5, 9, 9]},
        {"id": 92, "image_id": 77, "category_id": 1, "bbox": [5, 5, 9, 9]},
    ]
    path = coco(tmp_path, extra=bad)
    (tmp_path / "images" / "04.png").unlink()
    (tmp_path / "images" / "05.png").write_bytes(b"no image")
    found = labelled.read(tmp_path, path, holds="boxes")
    said = " | ".join(found.remarks)
    assert "1 boxes without area inside their image, left out: id 90" in said
    assert "category that is not listed, left out: id 91 (category 7)" in said
    assert "id 92" in said
    assert "04.png" in said
    assert "1 images that cannot be read, left out" in said
    assert "05.png" in said
    assert len(found.samples) == 18
    assert len(found.samples[1].boxes) == 1


def test_classes_are_chosen_by_name_in_the_order_given(tmp_path):
    path = coco(tmp_path)
    found = labelled.read(tmp_path, path, holds="boxes", names=("dog",))
    assert found.labels == ("dog",)
    assert [len(sample.boxes) for sample in found.samples[:4]] == [0, 1, 0, 1]
    with pytest.raises(ConfigError, match=r"expected boxes of horse, found those of cat, dog"):
        labelled.read(tmp_path, path, holds="boxes", names=("dog", "horse"))
    with pytest.raises(ConfigError, match=r"expected boxes of horse, found those of cat, dog"):
        labelled.read(tmp_path, path, holds="boxes", names=("horse",))


def test_too_few_images_are_refused_and_those_of_one_scene_are_told(tmp_path):
    with pytest.raises(SourceError, match="expected 16 labelled images or more, found 12"):
        labelled.read(tmp_path / "few", coco(tmp_path / "few", count=12), holds="boxes")
    found = labelled.read(tmp_path / "one", coco(tmp_path / "one", same=True), holds="boxes")
    assert any("only 1 of 20 images differ" in line for line in found.remarks)


def test_labels_of_another_kind_than_the_net_needs_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="expected masks, as the net needs them, found boxes"):
        labelled.read(tmp_path, coco(tmp_path), holds="masks")


def masked(folder, *, highest=1):
    for number in range(16):
        image(folder / "image" / f"{number:02}.png", number)
        mask = np.zeros((60, 80), np.uint8)
        mask[10:40, 20:50] = 255 if highest == 1 else 1 + number % highest
        (folder / "label").mkdir(exist_ok=True)
        cv2.imwrite(str(folder / "label" / f"{number:02}.png"), mask)


def test_masks_lie_beside_their_images_and_one_of_another_size_is_named(tmp_path):
    masked(tmp_path)
    image(tmp_path / "image" / "16.png", 16)
    cv2.imwrite(str(tmp_path / "label" / "16.png"), np.zeros((30, 30), np.uint8))
    found = labelled.read(tmp_path, None, holds="masks")
    assert found.labels == ("class 0", "class 1")
    assert len(found.samples) == 16
    assert any("16.png (80x60, mask 30x30)" in line for line in found.remarks)


def test_class_ids_of_masks_beyond_the_names_are_refused(tmp_path):
    masked(tmp_path, highest=3)
    assert len(labelled.read(tmp_path, None, holds="masks").labels) == 4
    with pytest.raises(SourceError, match=r"expected class ids below 2.*found 3.*\(02.png\)"):
        labelled.read(tmp_path, None, holds="masks", names=("sky", "tree"))


def test_class_ids_that_no_pixel_has_are_told_with_the_mask_that_has_the_highest(tmp_path):
    masked(tmp_path, highest=2)
    assert labelled.read(tmp_path, None, holds="masks").remarks == ()
    stray = np.zeros((60, 80), np.uint8)
    stray[0, 0] = 9
    cv2.imwrite(str(tmp_path / "label" / "07.png"), stray)
    (said,) = labelled.read(tmp_path, None, holds="masks").remarks
    assert "6 classes without any pixel: class 3, class 4" in said
    assert "the highest id, 9, is in 1 masks (07.png)" in said


def test_masks_of_two_values_want_two_names_before_anything_is_trained(tmp_path):
    masked(tmp_path)
    found = labelled.read(tmp_path, None, holds="masks", names=("sky", "tree"))
    assert found.labels == ("sky", "tree")
    with pytest.raises(ConfigError, match=r"expected 2 names.*found 3 \(sky, tree, road\)"):
        labelled.read(tmp_path, None, holds="masks", names=("sky", "tree", "road"))


def test_folders_of_classes_and_plain_images_are_read(tmp_path):
    for number in range(18):
        image(tmp_path / ("good" if number % 3 else "bad") / f"{number}.png", number)
    found = labelled.read(tmp_path, None, holds="classes")
    assert found.labels == ("bad", "good")
    assert sum(sample.class_id for sample in found.samples) == 12
    found = labelled.read(tmp_path, None, holds="classes", names=("good", "bad"))
    assert found.labels == ("good", "bad")  # in the order asked for, as a model's own may be
    assert sum(sample.class_id for sample in found.samples) == 6
    with pytest.raises(ConfigError, match="expected images of ugly, found those of bad, good"):
        labelled.read(tmp_path, None, holds="classes", names=("good", "ugly"))
    with pytest.raises(ConfigError, match="expected 2 classes or more to tell apart, found good"):
        labelled.read(tmp_path, None, holds="classes", names=("good",))
    with pytest.raises(SourceError, match="found 12"):  # only the good ones train an autoencoder
        labelled.read(tmp_path, None, holds="images")


def test_samples_are_shared_out_by_seed_and_lists_win(tmp_path):
    found = labelled.read(tmp_path, coco(tmp_path), holds="boxes")
    parts = share_out(found, seed=1)
    every = [
        sample.path for part in ("train", "select", "judge") for sample in getattr(parts, part)
    ]
    assert sorted(every) == [sample.path for sample in found.samples]
    assert [len(parts.train), len(parts.select), len(parts.judge)] == [12, 4, 4]
    assert share_out(found, seed=1) == parts
    assert share_out(found, seed=2) != parts
    named = [found.samples[7].path]
    assert [one.path for one in share_out(found, seed=1, judge=named).judge] == named


def test_a_batch_is_the_same_whenever_it_is_made_and_each_turn_sees_all(tmp_path):
    import factories  # noqa: PLC0415

    found = labelled.read(tmp_path, coco(tmp_path), holds="boxes")
    transform = factories.input_transform(size_wh=(32, 32), resize="stretch")
    made = [
        Batches(found.samples, transform, lambda labels: {"n": labels.boxes[:, 2].sum()}, batch=4)
        for _ in range(2)
    ]
    for _ in range(3):
        made[1](9)
    for step in (0, 3, 9):
        np.testing.assert_array_equal(made[0](step)["image"], made[1](step)["image"])
    turn = np.concatenate([made[0](step)["n"] for step in range(5)])
    assert len(set(turn.tolist())) == 20
