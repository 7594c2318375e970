"""`edge eval` as a user types it: the table, the JSON, the page, the images, the errors."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import factories
import pytest

from edge import cli
from edge.evaluation import plot
from edge.evaluation.judge import Curve
from edge.model.default import default_model_path
from edge.model.readers import manifest
from edge.pages import plot as axes

pytest.importorskip("pycocotools", reason="pycocotools is not installed")

MODEL = str(default_model_path())


def eval_(*arguments):
    return cli.main(["eval", *map(str, arguments)])


@pytest.fixture
def options(labelled):
    paths, annotations = labelled
    return ["--images", paths[0].parent, "--annotations", annotations, "--resamples", 20]


class Page(HTMLParser):
    """Checks that what is opened is closed, and collects the text and what would be fetched."""

    VOID = frozenset({"meta", "path"})
    OPEN_ENDED = frozenset({"tr", "td", "th", "li", "p", "body", "html"})

    def __init__(self):
        super().__init__()
        self.open = []
        self.texts = []
        self.fetched = []

    def handle_starttag(self, tag, attrs):
        self.fetched += [value for name, value in attrs if name in {"src", "href"}]
        if tag not in self.VOID | self.OPEN_ENDED:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if tag not in self.OPEN_ENDED:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def read_page(path):
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    assert page.open == []
    return page


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
    assert eval_(MODEL, *options, "--html", tmp_path / "x.html", "--json") == 0

    result = json.loads(capsys.readouterr().out)["evaluations"][0]
    page = read_page(tmp_path / "x.html")
    assert page.fetched == []
    text = " ".join(page.texts)
    assert f"{result['metrics']['mAP50-95']:.4f}" in text
    for label in result["classes"]:
        assert label in text


def test_names_of_the_set_cannot_write_html(file, tmp_path, labelled):
    name = "<script>alert(1)</script>"
    changed = file.manifest.model_copy(update={"name": name})
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


def test_three_models_are_misuse(options, capsys):
    assert eval_(MODEL, MODEL, MODEL, *options) == 2
    assert "expected one model or two, found 3" in capsys.readouterr().err


def test_a_file_that_is_no_model_is_refused(options, tmp_path, capsys):
    path = tmp_path / "x.tflite"
    path.write_bytes(factories.FLATBUFFER[:3])

    assert eval_(path, *options) == 1
    assert "expected a TensorFlow Lite model" in capsys.readouterr().err


def test_a_curve_is_drawn_from_left_to_right():
    curve = Curve(0.5, 0.5, precision=(1.0, 0.5, 0.0), scores=(0.9, 0.5, 0.1))

    svg = plot.precision_recall({"cat": curve})

    right = axes.LEFT_PX + 440 - axes.LEFT_PX - axes.RIGHT_PX
    bottom = axes.TOP_PX + axes.HEIGHT_PX - axes.TOP_PX - 48
    assert f"{axes.LEFT_PX}.0,{axes.TOP_PX}.0 " in svg
    assert f" {right}.0,{bottom}.0" in svg
    assert "<title>cat: AP50 0.500</title>" in svg
