"""VOC XML: boxes as written, faults named, and nothing that could expand or be fetched."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge.errors import SourceError
from edge.evaluation import reading, voc_folder
from edge.evaluation.faults import ABSENT
from edge.evaluation.label_files import MAX_FILE_BYTES

pytest.importorskip("defusedxml", reason="the extra eval is not installed")

WIDTH, HEIGHT = 40, 30
OBJECT = """<object><name>{name}</name>{extra}<bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin>
<xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"""


def document(*objects, filename="a.png"):
    return f"<annotation><filename>{filename}</filename>{''.join(objects)}</annotation>"


def thing(name="cat", box=(1, 2, 11, 22), extra=""):
    return OBJECT.format(name=name, box=box, extra=extra)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "xml").mkdir()
    return tmp_path / "xml"


def test_boxes_are_taken_as_written(folder, images):
    (folder / "a.xml").write_text(document(thing(), thing("dog", (0.5, 0, 40, 30))))

    truth = voc_folder.read(folder, images)

    assert [row["bbox"] for row in truth.fields["annotations"]] == [
        [1, 2, 10, 20], [0.5, 0, 39.5, 30],
    ]  # fmt: skip
    assert truth.category_names() == {1: "cat", 2: "dog"}
    assert truth.fields["images"] == [
        {"id": 1, "file_name": "a.png", "width": WIDTH, "height": HEIGHT}
    ]
    assert truth.faults.lines() == []


def test_difficult_objects_are_crowds(folder, images):
    (folder / "a.xml").write_text(document(thing(extra="<difficult>1</difficult>"), thing()))

    truth = voc_folder.read(folder, images)

    assert [row["iscrowd"] for row in truth.fields["annotations"]] == [1, 0]


def test_parts_of_an_object_are_no_objects(folder, images):
    part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
    (folder / "a.xml").write_text(document(thing(extra=part)))

    truth = voc_folder.read(folder, images)

    assert truth.category_names() == {1: "cat"}
    assert truth.fields["annotations"][0]["bbox"] == [1, 2, 10, 20]


def test_an_image_is_found_by_the_name_of_the_xml_file_too(folder, images):
    (folder / "b.xml").write_text(document(thing(), filename=r"C:\photos\other.jpg"))

    assert voc_folder.read(folder, images).files == {1: images[1]}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (thing(box=(5, 5, 5, 5)), "1 boxes without area inside their image, left out: "),
        (thing(box=(50, 5, 60, 9)), "1 boxes without area inside their image, left out: "),
        (thing(box=("nan", 5, 60, 9)), "1 boxes without area inside their image, left out: "),
        (thing(box=(30, 5, 60, 9)), "1 boxes that stick out of their image, clipped: "),
        (thing(box=("left", 5, 60, 9)), "1 objects without name or box, left out: "),
        ("<object><name>cat</name></object>", "1 objects without name or box, left out: "),
        (thing(name=" "), "1 objects without name or box, left out: "),
    ],
    ids=["flat", "outside", "nan", "sticks out", "text", "no box", "no name"],
)
def test_an_unsound_object_is_named(folder, images, text, line):
    (folder / "a.xml").write_text(document(thing(), text))

    truth = voc_folder.read(folder, images)

    assert truth.faults.lines() == [f"{line}a.xml object 2"]


def test_files_of_no_image_and_damaged_files_are_named(folder, images):
    (folder / "a.xml").write_text(document(thing()))
    (folder / "b.xml").write_text("<annotation><object>")
    (folder / "c.xml").write_text(document(filename="c.png"))

    lines = voc_folder.read(folder, images).faults.lines()

    assert "1 files that cannot be read, left out: " in lines[0]
    assert "b.xml: expected XML" in lines[0]
    assert lines[1] == f"1 {ABSENT}: c.xml"


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE a [<!ENTITY x "boo">]>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE a SYSTEM "http://localhost/a.dtd">',
    ],
    ids=["entity", "external entity", "external type"],
)
def test_a_document_type_is_refused_so_nothing_expands_or_is_fetched(folder, head):
    path = folder / "a.xml"
    path.write_text(f"{head}{document(thing(name='&x;'))}")

    with pytest.raises(SourceError, match="found a document type"):
        voc_folder.parse(path)


def test_deep_nesting_ends_nothing(folder):
    path = folder / "a.xml"
    path.write_text("<annotation>" + "<a>" * 100_000 + "</a>" * 100_000 + "</annotation>")

    assert voc_folder.parse(path) == ("", [])


def test_a_file_too_large_for_an_annotation_is_refused(folder):
    path = folder / "a.xml"
    path.write_bytes(b"<annotation>" + b" " * MAX_FILE_BYTES)

    with pytest.raises(SourceError, match="expected at most 4194304 bytes"):
        voc_folder.parse(path)


def test_utf_16_from_windows_is_read_whatever_the_file_declares(folder, images):
    text = '<?xml version="1.0" encoding="utf-8"?>' + document(thing("Käfer"))
    (folder / "a.xml").write_text(text, encoding="utf-16")

    assert voc_folder.read(folder, images).category_names() == {1: "Käfer"}


def test_of_two_files_that_name_one_image_the_one_called_as_it_is_taken(folder, images):
    (folder / "a.xml").write_text(document(thing("cat")))
    (folder / "Z.xml").write_text(document(thing("dog")))

    truth = voc_folder.read(folder, images)

    assert truth.category_names() == {1: "cat"}
    assert truth.faults.lines() == ["1 images annotated twice, the second left out: Z.xml"]


def test_other_xml_is_refused(folder):
    path = folder / "a.xml"
    path.write_text("<svg/>")

    with pytest.raises(SourceError, match="expected a VOC <annotation>, found <svg>"):
        voc_folder.parse(path)


@given(data=st.binary(max_size=400))
@example(data=b"")
@example(data=b"<annotation>\xff</annotation>")
@example(data=b'<?xml version="1.0" encoding="no-such"?><annotation/>')
def test_any_bytes_are_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("voc") / "a.xml"
    path.write_bytes(data)

    with contextlib.suppress(SourceError):
        voc_folder.parse(path)


@given(
    cut=st.integers(0, 300), at=st.integers(0, 300), byte=st.integers(0, 255), whole=st.booleans()
)
def test_a_damaged_annotation_is_read_or_refused(tmp_path_factory, cut, at, byte, whole):
    data = bytearray(document(thing(), thing("dog")).encode())
    if not whole:
        data = data[:cut]
    if at < len(data):
        data[at] = byte
    path = tmp_path_factory.mktemp("voc") / "a.xml"
    path.write_bytes(bytes(data))

    with contextlib.suppress(SourceError):
        voc_folder.parse(path)


@pytest.mark.assets
def test_the_two_flat_boxes_of_the_blood_cells_are_named(assets):
    folder = assets / "data" / "bccd" / "BCCD"

    truth = reading.read(folder / "Annotations", reading.find_images(folder / "JPEGImages"))

    assert len(truth.files) == 364
    assert sorted(truth.category_names().values()) == ["Platelets", "RBC", "WBC"]
    (line,) = truth.faults.lines()
    assert line.startswith("2 boxes without area inside their image, left out: ")
    assert line.endswith(": BloodImage_00338.xml object 13, BloodImage_00343.xml object 4")


@pytest.mark.assets
def test_all_217_boxes_of_the_raccoons_are_read(assets):
    folder = assets / "data" / "raccoon"

    truth = reading.read(folder / "annotations", reading.find_images(folder / "images"))

    assert len(truth.files) == 200
    assert len(truth.fields["annotations"]) == 217
    assert truth.faults.lines() == []
