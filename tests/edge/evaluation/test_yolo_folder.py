"""YOLO text files: ratios to pixels, names from a file, faults named by line."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import SourceError
from edge.evaluation import label_files, yolo_folder
from edge.evaluation.faults import Faults
from edge.evaluation.truth import numbered

pytest.importorskip("yaml", reason="the extra eval is not installed")

WIDTH, HEIGHT = 40, 30
RATIOS = st.floats(0, 1)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "labels").mkdir()
    return tmp_path / "labels"


def read(folder, images):
    return yolo_folder.read(folder, images, names=("cat", "dog"))


def test_a_box_is_the_centre_and_the_sides_as_ratios(folder, images):
    (folder / "a.txt").write_text("1 0.5 0.5 0.25 0.2\n")

    truth = read(folder, images)

    (row,) = truth.fields["annotations"]
    assert row["bbox"] == pytest.approx([15, 12, 10, 6])
    assert truth.category_names()[row["category_id"]] == "dog"


def test_a_polygon_is_the_box_around_it(folder, images):
    (folder / "a.txt").write_text("0 0.5 0.2 0.75 0.4 0.25 0.6\n")

    (row,) = read(folder, images).fields["annotations"]

    assert row["bbox"] == pytest.approx([10, 6, 20, 12])


def test_an_empty_file_is_an_image_without_objects_and_none_is_no_annotation(folder, images):
    (folder / "a.txt").write_text("\n")

    truth = read(folder, images)

    assert truth.files == {1: images[0]}
    assert numbered(truth, images) == [(1, images[0])]
    assert truth.faults.lines() == ["1 images without annotation, left out: b.png"]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("0 0.5 0.5 0.25", "lines that are neither box nor polygon, left out"),
        ("cat 0.5 0.5 0.25 0.1", "lines that are neither box nor polygon, left out"),
        ("0 0.5 0.5 0.2 0.1 0.3", "lines that are neither box nor polygon, left out"),
        ("2 0.5 0.5 0.25 0.1", "boxes of a class id without a name, left out"),
        ("-1 0.5 0.5 0.2 0.1", "boxes of a class id without a name, left out"),
        ("0 0.5 0.5 0 0.1", "boxes without area inside their image, left out"),
        ("0 nan 0.5 0.2 0.1", "boxes without area inside their image, left out"),
        ("0 1e300 0.5 1e300 0.1", "boxes without area inside their image, left out"),
        ("0 0.5 0.5 2 0.1", "boxes that stick out of their image, clipped"),
    ],
    ids=["short", "text", "odd", "class", "negative class", "flat", "nan", "huge", "sticks out"],
)  # fmt: skip
def test_an_unsound_line_is_named(folder, images, line, kind):
    (folder / "a.txt").write_text(f"0 0.5 0.5 0.25 0.2\n{line}\n")

    (found,) = read(folder, images).faults.lines()

    assert found.startswith(f"1 {kind}: a.txt line 2")


@given(x=RATIOS, y=RATIOS, width=st.floats(0.01, 1), height=st.floats(0.01, 1))
def test_a_box_comes_back_as_it_was_written(x, y, width, height):
    class_id, (x_min, y_min, x_max, y_max) = yolo_folder.parse(f"3 {x} {y} {width} {height}")

    assert class_id == 3
    assert (x_min + x_max) / 2 == pytest.approx(x, abs=1e-12)
    assert (y_min + y_max) / 2 == pytest.approx(y, abs=1e-12)
    assert (x_max - x_min, y_max - y_min) == pytest.approx((width, height), abs=1e-12)


@given(data=st.binary(max_size=200) | st.text("0123456789.- e\n", max_size=200).map(str.encode))
def test_any_bytes_are_read_or_named(tmp_path_factory, data):
    root = tmp_path_factory.mktemp("yolo")
    (root / "labels").mkdir()
    image = root / "a.png"
    cv2.imwrite(str(image), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    (root / "labels" / "a.txt").write_bytes(data)

    try:
        truth = read(root / "labels", [image])
    except SourceError:
        return
    for row in truth.fields["annotations"]:
        x_min, y_min, width, height = row["bbox"]
        assert 0 <= x_min < x_min + width <= WIDTH + 1e-9
        assert 0 <= y_min < y_min + height <= HEIGHT + 1e-9


def test_names_are_needed(folder, images):
    (folder / "a.txt").write_text("0 0.5 0.5 0.25 0.2\n")

    with pytest.raises(SourceError, match=r"write a classes.txt .* or give one with --names"):
        yolo_folder.read(folder, images, names=None)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("classes.txt", "cat\ndog\n\n"),
        ("obj.names", "cat\r\ndog"),
        ("data.yaml", "train: x\nnames: [cat, 'dog']\nnc: 2\n"),
        ("data.yaml", "names: [\n  cat,  # first\n  dog,\n]\nnc: 2\n"),
        ("data.yaml", 'nc: 2\nnames:\n- cat\n- "dog"\ntrain: x\n'),
        ("data.yaml", "names:\n  0: cat\n  1: dog\n\nnc: 2\n"),
        ("data.yaml", "names: {0: cat, 1: dog}\n"),
    ],
    ids=["lines", "windows lines", "flow", "flow of lines", "block", "mapping", "flow mapping"],
)
def test_names_are_found_beside_the_labels_or_above(folder, file, text):
    (folder.parent / file).write_text(text)

    assert label_files.names_beside(folder, Faults()) == ("cat", "dog")


def test_a_data_yaml_two_folders_up_is_found(tmp_path, images):
    (tmp_path / "labels" / "train").mkdir(parents=True)
    (tmp_path / "labels" / "train" / "a.txt").write_text("1 0.5 0.5 0.25 0.2\n")
    (tmp_path / "data.yaml").write_text("names: [cat, dog]\n")

    truth = yolo_folder.read(tmp_path / "labels" / "train", images, names=None)

    assert truth.category_names() == {1: "cat", 2: "dog"}


def test_names_that_yaml_would_take_for_something_else_stay_text(tmp_path):
    path = tmp_path / "data.yaml"
    path.write_text("names: [no, 1.10, null, 2024-01-01]\n")

    assert label_files.read_names(path) == ("no", "1.10", "null", "2024-01-01")


def test_yaml_that_expands_a_billionfold_names_nothing(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 20)
    ]
    path = tmp_path / "data.yaml"
    path.write_text("\n".join([*lines, "names: *a19"]))

    with pytest.raises(SourceError, match="expected the names of the classes, found none"):
        label_files.read_names(path)


@pytest.mark.parametrize("text", ["[" * 10_000, "a: [", "a: b: c"])
def test_broken_yaml_is_refused(tmp_path, text):
    path = tmp_path / "data.yaml"
    path.write_text(text)

    with pytest.raises(SourceError, match="expected YAML, found none"):
        label_files.read_names(path)


def test_yaml_too_long_to_be_names_is_refused(tmp_path):
    path = tmp_path / "data.yaml"
    path.write_text("names: [" + "a," * label_files.MAX_YAML_LETTERS)

    with pytest.raises(SourceError, match="expected at most 262144 letters"):
        label_files.read_names(path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_text_from_windows_is_read(folder, images, encoding):
    (folder / "a.txt").write_text("1 0.5 0.5 0.25 0.2\r\n", encoding=encoding)
    (folder / "classes.txt").write_text("cat\r\nKäfer\r\n", encoding=encoding)

    truth = yolo_folder.read(folder, images, names=None)

    (row,) = truth.fields["annotations"]
    assert truth.category_names()[row["category_id"]] == "Käfer"
    assert truth.faults.lines() == []


def test_text_in_another_encoding_is_named(folder, images):
    (folder / "a.txt").write_text("1 0.5 0.5 0.25 0.2\n")
    (folder / "classes.txt").write_text("cat\nKäfer\n", encoding="latin-1")

    with pytest.raises(SourceError, match=r"classes.txt: expected text in UTF-8: .* save it as"):
        yolo_folder.read(folder, images, names=None)


def test_of_two_class_ids_with_one_name_both_count(folder, images):
    (folder / "a.txt").write_text("0 0.5 0.5 0.25 0.2\n2 0.3 0.5 0.25 0.2\n")

    truth = yolo_folder.read(folder, images, names=("cat", "dog", "cat"))

    assert truth.category_names() == {1: "cat", 2: "dog"}
    assert [row["category_id"] for row in truth.fields["annotations"]] == [1, 1]
    assert truth.faults.lines() == [
        "1 categories of a name that stands before, merged with it: cat (2 with 0)"
    ]


def test_a_class_id_as_a_float_is_a_class_id():
    assert yolo_folder.parse("3.0 0.5 0.5 1 1") == (3, (0, 0, 1, 1))


@pytest.mark.parametrize("text", ["", "\n\n"], ids=["empty", "blank"])
def test_a_file_without_names_is_refused(tmp_path, text):
    path = tmp_path / "classes.txt"
    path.write_text(text)

    with pytest.raises(SourceError, match="expected the names of the classes, found none"):
        label_files.read_names(path)


@given(text=st.text(max_size=200))
def test_any_yaml_gives_names_or_is_refused(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("names") / "data.yaml"
    path.write_text(f"names: {text}", encoding="utf-8")

    try:
        found = label_files.read_names(path)
    except SourceError:
        return
    assert found
    assert len(found) <= 100_000
