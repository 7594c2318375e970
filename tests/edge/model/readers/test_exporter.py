"""What the exporters of YOLO write beside a graph tells all of a model but its head."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import bare_models as bare
import onnx_bytes
import pytest
import told_files as told
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ModelError
from edge.model import model_file
from edge.model.declared import Told
from edge.model.readers import exporter
from edge.record import storable

pytestmark = pytest.mark.board

ONNX_KEYS = {"names": "{0: 'a'}", "stride": "32"}
# What Python reads from the left, each link around all before it, and so without a bracket open.
LINKS = ("+1", "-1", "*1", "//1", "%1", "@1", "&1", "^1", "|1", "<<1", ">>1", ".b", "[0]", "()")


def read(tmp_path, data):
    path = tmp_path / "best.tflite"
    path.write_bytes(data)
    return model_file.read(path)


@pytest.mark.parametrize("old", [False, True], ids=["JSON", "a Python literal"])
def test_a_classifier_runs_with_its_names(tmp_path, old):
    data = told.exported(
        bare.classifier(), task="classify", names=("red", "green", "it's"), old=old
    )
    file = read(tmp_path, data)
    described = file.description
    assert (file.read_by, described.name) == ("its exporter's metadata", "best")
    assert described.labels == ("red", "green", "it's")
    assert (described.input.color, described.input.resize) == ("rgb", "stretch")
    assert (described.input.mean, described.input.std) == ((0, 0, 0), (255, 255, 255))


def test_a_detector_is_letterboxed_and_says_how_it_was_exported():
    data = told.exported(b"model", end2end=True, imgsz=[384, 640], channels=1)
    found = exporter.told("x", data)
    assert (found.task, found.resize, found.color) == ("detect", "letterbox", "grey")
    assert found.size_wh == (640, 384)
    assert found.facts["end2end"] is True


@pytest.mark.parametrize(
    ("task", "resize"),
    [
        ("detect", "letterbox"),
        ("segment", "letterbox"),
        ("pose", "letterbox"),
        ("obb", "letterbox"),
        ("semantic", "letterbox"),
        ("depth", "letterbox"),
        ("classify", "stretch"),
    ],
)
def test_only_a_classifiers_images_have_no_bars(task, resize):
    for found in (
        exporter.told("x", told.exported(b"model", task=task)),
        exporter.told("x", told.exported(b"model", task=task, old=True)),
        exporter.told_by("x", ONNX_KEYS | {"task": task}),
    ):
        assert (found.task, found.resize) == (task, resize)


def test_without_a_task_it_is_a_detector_as_all_exports_of_yolov5_are():
    found = exporter.told_by("x", ONNX_KEYS)
    assert (found.task, found.resize) == ("detect", "letterbox")


@pytest.mark.parametrize("lacking", ["names", "stride"])
def test_the_properties_of_another_tools_onnx_file_say_nothing(lacking):
    assert exporter.told_by("x", {k: v for k, v in ONNX_KEYS.items() if k != lacking}) is None


@given(st.lists(st.text(), min_size=1))
def test_any_names_that_python_writes_are_read_again(names):
    written = {"names": str(dict(enumerate(names))), "stride": "32"}
    assert exporter.told_by("x", written).labels == tuple(map(storable, names))


@given(
    st.dictionaries(
        st.sampled_from([*exporter.LITERALS, "task"]),
        st.text() | st.text("[](){}'\"\\,:+-*.1e9jNoneTrue \n#_"),
    )
)
def test_any_texts_are_read_or_refused_in_a_sentence(texts):
    with contextlib.suppress(ModelError):
        assert isinstance(exporter.told_by("x", ONNX_KEYS | texts), Told)


def test_the_same_keys_are_texts_in_an_onnx_file():
    facts = {"names": "{0: 'a', 1: 'b'}", "imgsz": "[320, 320]", "task": "detect", "stride": "32"}
    found = exporter.told_by("x", facts)
    assert (found.labels, found.size_wh) == (("a", "b"), (320, 320))


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param({"names": {"0": "a", "2": "b"}}, id="a gap among the ids"),
        pytest.param({"names": {}}, id="no names"),
        pytest.param({"names": "red"}, id="a text"),
        pytest.param({"imgsz": ["wide", 3]}, id="a size of words"),
        pytest.param({"imgsz": [1, 2, 3]}, id="three sides"),
        pytest.param({"channels": "many"}, id="channels of words"),
        pytest.param({"channels": float("inf")}, id="infinite channels"),
    ],
)
def test_metadata_that_cannot_be_true_is_a_fault(tmp_path, facts):
    data = told.exported(bare.classifier(), task="classify", **facts)
    with pytest.raises(ModelError, match=r"exporter appended is damaged .*; export it again"):
        read(tmp_path, data)


def test_a_zip_that_was_cut_off_is_a_fault_and_not_a_bare_model(tmp_path):
    whole = told.exported(bare.classifier(), task="classify", names=tuple("rgb"))
    with pytest.raises(ModelError, match="exporter appended cannot be read"):
        read(tmp_path, whole[:-9])


@pytest.mark.parametrize("bomb", ["(" * 100_000, "9**9**9", "__import__('os').getcwd()", "{1: "])
def test_a_literal_that_is_none_says_nothing(bomb):
    assert exporter.told("x", told.with_files(b"model", {"meta.txt": bomb})) is None


def test_a_file_of_labels_is_no_metadata():
    assert exporter.told("x", told.with_files(b"model", {"labels.txt": "cat\ndog\n"})) is None


@pytest.mark.parametrize("lacking", ["names", "stride", "task", "imgsz"])
def test_the_json_of_another_tool_says_nothing(lacking):
    facts = {"names": ["a"], "stride": 8, "task": "detect", "imgsz": 64}
    del facts[lacking]
    assert exporter.told("x", told.with_files(b"m", {"metadata.json": json.dumps(facts)})) is None


def test_half_a_surrogate_pair_among_the_names_is_no_text():
    text = r'{"names": ["a\ud800"], "stride": 8, "task": "x", "imgsz": 9}'
    data = told.with_files(b"model", {"metadata.json": text})
    assert exporter.told("x", data).labels == ("a?",)


def test_an_onnx_file_says_the_same_in_its_metadata():
    bare_file = onnx_bytes.model(
        onnx_bytes.graph(
            [onnx_bytes.node("Slice", ["images"], "output0")],
            inputs=[onnx_bytes.end("images", (1, 3, 64, 64))],
            outputs=[onnx_bytes.end("output0", (1, 6, 84))],
        )
    )
    facts = {"names": "{0: 'a', 1: 'b'}", "imgsz": "[64, 64]", "task": "detect", "stride": "32"}
    entries = (
        onnx_bytes.message(14, onnx_bytes.message(1, key), onnx_bytes.message(2, value))
        for key, value in facts.items()
    )
    file = model_file.parse(Path("best.onnx"), bare_file + b"".join(entries))
    assert (file.read_by, file.flatbuffer) == ("its exporter's metadata", bare_file)
    assert (file.description.labels, file.description.head.units) == (("a", "b"), "pixels")
    assert file.description.outputs == {"rows": "output0"}


def test_many_literals_are_not_parsed_one_after_the_other(monkeypatch):
    parsed = []
    monkeypatch.setattr(exporter.ast, "literal_eval", lambda text: parsed.append(len(text)))
    files = {f"{number}.txt": "[" + "1," * 60_000 + "]" for number in range(20)}
    assert exporter.told("x", told.with_files(b"model", files)) is None
    assert 0 < sum(parsed) <= exporter.MAX_LITERAL_BYTES


def test_a_literal_in_an_onnx_file_that_would_take_gigabytes_to_parse_is_a_fault():
    facts = {"names": "[" + "1," * 150_000 + "]", "stride": "32"}
    with pytest.raises(ModelError, match=r"over 262144 characters.*; export it again"):
        exporter.told_by("x", facts)


@pytest.mark.parametrize("link", LINKS)
def test_a_literal_that_nests_without_brackets_is_not_parsed(monkeypatch, link):
    bomb = "1" + link * (2**17 // len(link))
    monkeypatch.setattr(exporter.ast, "literal_eval", lambda text: pytest.fail(text[:9]))
    with pytest.raises(ModelError, match=r"over 16384 of .*; export it again"):
        exporter.told_by("x", ONNX_KEYS | {"names": bomb})
    assert exporter.told("x", told.with_files(b"model", {"meta.txt": bomb})) is None


@pytest.mark.parametrize("link", LINKS)
def test_a_literal_that_nests_as_far_as_is_allowed_is_a_fault_and_no_crash(link):
    links = exporter.MAX_NESTING // sum(map(link.count, exporter.NESTING))
    with pytest.raises(ModelError, match=r"exporter appended is damaged"):
        exporter.told_by("x", ONNX_KEYS | {"names": "1" + link * links})


def test_the_names_of_the_largest_vocabulary_are_few_enough_to_read():
    # 4,585 classes of YOLOE without a prompt, each "t-shirt (white)".
    names = str(dict.fromkeys(range(4585), "t-shirt (white)"))
    assert len(exporter.told_by("x", ONNX_KEYS | {"names": names}).labels) == 4585


@pytest.mark.parametrize("sides", [[-8, 8], [0, 8], 0, 10**30])
def test_an_open_input_of_no_size_that_can_be_is_a_fault(tmp_path, sides):
    data = bare.with_open_input(bare.classifier(), (1, -1, -1, 3))
    with pytest.raises(ModelError, match=r"says of the input what cannot be true: .*size_wh"):
        read(tmp_path, told.exported(data, task="classify", names=("r", "g", "b"), imgsz=sides))
