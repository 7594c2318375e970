"""`edge eval` as a user types it: the table, the JSON, the page, the images, the errors."""

from __future__ import annotations

import json
import os
import shutil

import cv2
import factories
import numpy as np
import pytest
from html_pages import read_page

from edge import cli
from edge.model.default import default_model_path
from edge.model.readers import manifest
from edge.pages import page

pytest.importorskip("pycocotools", reason="pycocotools is not installed")

MODEL = str(default_model_path())


def eval_(*arguments):
    return cli.main(["eval", *map(str, arguments)])


@pytest.fixture
def options(labelled):
    paths, annotations = labelled
    return ["--images", paths[0].parent, "--annotations", annotations, "--resamples", 20]


def test_one_model_is_a_table_of_accuracy_and_time(options, capsys):
    assert eval_(MODEL, *options) == 0

    out = capsys.readouterr().out
    assert "detection on 18 images" in out
    for word in ("mAP50-95", "mAP75", "95 % interval", "invoke", "taken for", "person"):
        assert word in out
    assert "difference" not in out


def test_json_has_every_figure(options, capsys):
    assert eval_(MODEL, *options, "--json") == 0

    fields = json.loads(capsys.readouterr().out)
    (result,) = fields["evaluations"]
    assert fields["schema_version"] == 1
    assert result["main_metric"] == "mAP50-95"
    low, high = result["intervals"]["mAP50-95"]
    assert 0 < low <= high <= 1
    assert set(result["stages_ms"]) == {"preprocess", "invoke", "decode", "suppress", "total"}
    assert all(len(curve["precision"]) == 101 for curve in result["curves"].values())
    assert fields["differences"] == []
    assert fields["left_out"] == []


def test_two_models_are_compared(options, worse, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="pages need the extra `report`")
    other = tmp_path / "worse.tflite"
    other.write_bytes(manifest.append(worse.flatbuffer, worse.manifest, worse.description.anchors))

    assert eval_(MODEL, other, *options, "--html", tmp_path / "x.html") == 0

    out = capsys.readouterr().out
    assert "mAP50-95: B - A = -0." in out
    assert "paired over the images): significant" in out
    assert "A value" in out
    assert "B p95 ms" in out
    text = "".join(read_page(tmp_path / "x.html").texts)
    assert "significant" in text


def test_the_page_stands_alone_and_shows_what_the_table_shows(options, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="pages need the extra `report`")
    assert eval_(MODEL, *options, "--html", tmp_path / "x.html", "--json") == 0

    result = json.loads(capsys.readouterr().out)["evaluations"][0]
    shown = read_page(tmp_path / "x.html")
    assert shown.fetched == []
    text = " ".join(shown.texts)
    assert f"{result['metrics']['mAP50-95']:.4f}" in text
    for label in result["classes"]:
        assert label in text
    assert result["model"]["digest"] in text
    for said in ("UTC", "cores", "edge-vision ", "false alarm", "bold"):
        assert said in text.lower() or said in text
    # The worst images themselves, small.
    sizes = [
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape for data in shown.images
    ]
    assert 1 <= len(sizes) <= 12
    assert all(max(height, width) <= 480 for height, width, _ in sizes)
    assert max(map(len, shown.images)) < 60_000


def test_a_page_without_its_packages_is_refused_before_anything_is_measured(
    options, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(page, "PACKAGES", ("no_such_package",))

    assert eval_(MODEL, *options, "--html", tmp_path / "x.html") == 1

    out = capsys.readouterr()
    assert "type: pip install 'edge-vision[report]'" in out.err
    assert out.out == ""


def test_what_cannot_be_written_does_not_lose_the_figures(options, capsys):
    pytest.importorskip("matplotlib", reason="pages need the extra `report`")
    assert eval_(MODEL, *options, "--html", "/dev/null/x.html") == 1
    assert "mAP50-95" in capsys.readouterr().out


def test_names_of_the_set_cannot_write_html(file, tmp_path, labelled):
    pytest.importorskip("matplotlib", reason="pages need the extra `report`")
    name = "<script>alert(1)</script>"
    changed = file.manifest.replace(name=name)
    other = tmp_path / "m.tflite"
    other.write_bytes(manifest.append(file.flatbuffer, changed, file.description.anchors))
    paths, annotations = labelled

    eval_(
        other, "--images", paths[0].parent, "--annotations", annotations, "--resamples", 1,
        "--html", tmp_path / "x.html",
    )  # fmt: skip

    assert "<script" not in (tmp_path / "x.html").read_text(encoding="utf-8")


def test_the_worst_images_are_written(options, tmp_path):
    assert eval_(MODEL, *options, "--pictures", tmp_path / "worst") == 0

    names = sorted(path.name for path in (tmp_path / "worst").iterdir())
    assert 1 <= len(names) <= 12
    assert names[0].startswith("01-")


@pytest.mark.parametrize(
    ("extra", "status", "message"),
    [
        (["--html", "/dev/null/x.html"], 1, "/dev/null/x.html: cannot be written"),
        (["--pictures", "/dev/null/x"], 1, "cannot be written"),
        (["--only", "/no/such/file"], 1, "/no/such/file: cannot be read"),
        (["--annotations", "/no/such/file"], 1, "/no/such/file: cannot be read"),
        (["--images", "/no/such/folder"], 1, "expected a folder of images"),
    ],
    ids=["page", "images out", "only", "annotations", "images"],
)
def test_a_mistake_is_one_sentence(options, extra, status, message, capsys):
    assert eval_(MODEL, *options, *extra) == status

    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_each_further_model_is_compared_with_the_first(options, worse, tmp_path, capsys):
    other = tmp_path / "worse.tflite"
    other.write_bytes(manifest.append(worse.flatbuffer, worse.manifest, worse.description.anchors))

    assert eval_(MODEL, MODEL, other, *options, "--html", tmp_path / "x.html") == 0

    out = capsys.readouterr().out
    assert "mAP50-95: B - A = +0.0000" in out
    assert "mAP50-95: C - A = -0." in out
    assert "C value" in out
    read_page(tmp_path / "x.html")

    assert eval_(MODEL, MODEL, other, *options, "--json", "--pictures", tmp_path / "worst") == 0

    fields = json.loads(capsys.readouterr().out)
    assert len(fields["evaluations"]) == 3
    assert [row["model"] for row in fields["differences"]] == [1, 1, 2, 2]
    assert {path.name for path in (tmp_path / "worst").iterdir()} == {"A", "B", "C"}


def test_an_image_whose_name_is_no_text_is_judged_and_named(labelled, tmp_path, capsys):
    paths, annotations = labelled
    name = os.fsdecode(b"\xff-1.png")
    fields = json.loads(annotations.read_text())
    number = next(row["image_id"] for row in fields["annotations"])
    row = next(row for row in fields["images"] if row["id"] == number)
    shutil.copy(paths[0].parent / row["file_name"], tmp_path / name)
    fields["images"] = [row | {"file_name": name}, {"id": 999, "file_name": "lost-" + name}]
    fields["annotations"] = [kept for kept in fields["annotations"] if kept["image_id"] == number]
    (tmp_path / "x.json").write_text(json.dumps(fields))

    assert eval_(
        MODEL, "--images", tmp_path, "--annotations", tmp_path / "x.json", "--resamples", 2,
        "--html", tmp_path / "x.html", "--pictures", tmp_path / "worst",
    ) == 0  # fmt: skip

    assert "annotated images that are not there, left out: lost-?-1.png" in capsys.readouterr().out
    assert (tmp_path / "x.html").read_text(encoding="utf-8")


def test_where_nothing_can_be_judged_the_error_says_what_was_left_out(labelled, tmp_path, capsys):
    paths, annotations = labelled
    fields = json.loads(annotations.read_text())
    for row in fields["annotations"]:
        row["bbox"] = ["left", "top", "10", "10"]
    (tmp_path / "x.json").write_text(json.dumps(fields))

    status = eval_(
        MODEL, "--images", paths[0].parent, "--annotations", tmp_path / "x.json"
    )  # fmt: skip

    assert status == 1
    error = capsys.readouterr().err
    assert "found none; choose more images (noted before: " in error
    assert "annotations without the fields they need, left out: number 0 (bbox)" in error


def test_a_foreign_model_is_judged_by_the_description_of_a_user(options, file, tmp_path, capsys):
    np.save(tmp_path / "anchors.npy", file.description.anchors)
    described = file.description
    tables = {
        "model": {"name": "foreign", "labels": described.labels},
        "input": described.input.plain(),
        "outputs": dict(described.outputs),
        "head": {"kind": "ssd", "anchors": "anchors.npy"},
    }
    text = "".join(
        f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in rows.items())
        for name, rows in tables.items()
    )
    (tmp_path / "foreign.toml").write_text(text)
    (tmp_path / "foreign.tflite").write_bytes(file.flatbuffer)

    status = eval_(
        MODEL, tmp_path / "foreign.tflite", *options, "--description", "-", "--description",
        tmp_path / "foreign.toml", "--json",
    )  # fmt: skip

    first, second = json.loads(capsys.readouterr().out)["evaluations"]
    assert status == 0
    assert second["model"]["name"] == "foreign"
    assert second["metrics"]["mAP50-95"] > 0.9 * first["metrics"]["mAP50-95"]


def test_a_file_that_is_no_model_is_refused(options, tmp_path, capsys):
    path = tmp_path / "x.tflite"
    path.write_bytes(factories.FLATBUFFER[:3])

    assert eval_(path, *options) == 1
    assert "expected a TensorFlow Lite or ONNX model" in capsys.readouterr().err
