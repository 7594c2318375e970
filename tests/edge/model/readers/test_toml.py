"""A description that a person wrote runs any `.tflite`; its faults come all at once."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from edge import cli
from edge.decode.ssd import SsdHead
from edge.errors import ConfigError, ModelError
from edge.heads import HEADS
from edge.model import model_file
from edge.model.default import default_model_path
from edge.model.loaded import load_model

pytestmark = pytest.mark.board


@pytest.fixture(scope="module")
def shipped():
    return model_file.read(default_model_path())


@pytest.fixture
def folder(tmp_path, shipped):
    """Return a folder with the shipped model, bare, and all that a description of it needs."""
    (tmp_path / "bare.tflite").write_bytes(shipped.flatbuffer)
    np.save(tmp_path / "anchors.npy", shipped.description.anchors)
    (tmp_path / "labels.txt").write_text("\n".join(shipped.description.labels) + "\n")
    return tmp_path


def written(shipped, *, labels='"labels.txt"', anchors='"anchors.npy"', **tables):
    """Return the text of a TOML that describes the shipped model; a table may be replaced."""
    outputs, transform = shipped.description.outputs, shipped.description.input
    parts = {
        "model": f'name = "bare"\nlabels = {labels}\nscore_threshold = 0.4',
        "input": "\n".join(
            f"{key} = {json.dumps(value)}" for key, value in transform.plain().items()
        ),
        "outputs": "\n".join(f'{role} = "{name}"' for role, name in outputs.items()),
        "head": f'kind = "ssd"\nanchors = {anchors}',
    }
    return "\n".join(f"[{name}]\n{text}" for name, text in (parts | tables).items())


def read(folder, text):
    path = folder / "bare.toml"
    path.write_text(text)
    return model_file.read(folder / "bare.tflite", description=path)


def test_a_bare_model_with_a_description_sees_what_the_shipped_one_sees(folder, shipped):
    file = read(folder, written(shipped))
    assert (file.read_by, file.manifest) == ("toml", None)
    assert file.description.labels == shipped.description.labels
    assert file.description.digest == shipped.description.digest
    assert file.description.score_threshold == 0.4
    image = np.random.default_rng(1).integers(0, 256, (300, 300, 3), np.uint8)
    found = load_model(file).with_thresholds(score=0.05)(image).copy()
    expected = load_model(shipped).with_thresholds(score=0.05)(image)
    np.testing.assert_array_equal(found.boxes, expected.boxes)
    np.testing.assert_array_equal(found.scores, expected.scores)


def test_anchors_and_labels_may_stand_in_the_file_itself(folder, shipped):
    rows = json.dumps(shipped.description.anchors.astype(float).tolist())
    labels = json.dumps(list(shipped.description.labels))
    file = read(folder, written(shipped, labels=labels, anchors=rows))
    np.testing.assert_array_equal(file.description.anchors, shipped.description.anchors)
    assert file.description.labels == shipped.description.labels


def test_labels_of_an_editor_of_windows_are_the_same(folder, shipped):
    text = "\r\n".join(shipped.description.labels) + "\r\n"
    (folder / "labels.txt").write_bytes(text.encode("utf-8-sig"))
    assert read(folder, written(shipped)).description.labels == shipped.description.labels


def test_what_somebody_appended_to_a_model_is_no_hindrance(folder, shipped):
    (folder / "bare.tflite").write_bytes(default_model_path().read_bytes())
    assert load_model(read(folder, written(shipped))).description.name == "bare"


def test_all_faults_come_at_once_each_with_its_place(folder, shipped):
    text = written(
        shipped,
        labels='"gone.txt"',
        anchors="[[1, 2]]",
        input='size_wh = [300, 0]\ncolour = "rgb"\nmean = [0, 0, 0]\nstd = [1, 1, 1]',
        extra="x = 1",
    )
    with pytest.raises(ConfigError) as said:
        read(folder, text)
    lines = str(said.value).splitlines()
    assert all(line.startswith(f"{folder / 'bare.toml'}: ") for line in lines)
    faults = "\n".join(line.partition(".toml: ")[2] for line in lines)
    assert "[head] anchors: expected rows (cy, cx, h, w)" in faults
    assert "[model] labels: gone.txt cannot be read: No such file" in faults
    assert "[input] size_wh: expected a list of 2, each a whole number from 1 up to 65536" in faults
    assert "[input] unknown key 'colour'; did you mean 'color'?" in faults
    assert "[input] resize is needed and missing" in faults
    assert "unknown [extra]; known are model, input, outputs, head" in faults


@pytest.mark.parametrize(
    ("head", "fault"),
    [
        pytest.param('kind = "pose"', "[head] kind: expected one of ssd, yolo,", id="kind"),
        pytest.param("", "[head] kind is needed and missing", id="no kind"),
        pytest.param(
            'kind = "ssd"\nbackgrounds = 1', "[head] unknown key 'backgrounds'; did you", id="key"
        ),
        pytest.param(
            'kind = "ssd"\nactivation = "relu"',
            "[head] activation: expected 'sigmoid' or",
            id="value",
        ),
        pytest.param('kind = "ssd"\nanchors = "gone.npy"', "No such file", id="no anchors"),
        pytest.param('kind = "ssd"\nanchors = "labels.txt"', "as numpy.save writes", id="no npy"),
    ],
)
def test_a_wrong_head_is_named(folder, shipped, head, fault):
    with pytest.raises(ConfigError) as said:
        read(folder, written(shipped, head=head))
    assert fault in str(said.value)


def test_a_description_that_does_not_fit_the_model_says_which_to_correct(folder, shipped):
    text = written(shipped, labels='["a", "b"]')
    with pytest.raises(ModelError, match=r"bare\.tflite: .*2 labels.*; correct its toml"):
        load_model(read(folder, text))


def test_edge_run_and_inspect_take_a_description(folder, shipped, capsys):
    (folder / "bare.toml").write_text(written(shipped))
    named = ["--description", str(folder / "bare.toml")]
    assert cli.main(["inspect", str(folder / "bare.tflite"), *named]) == 0
    assert "described   by toml" in capsys.readouterr().out
    assert cli.main(["inspect", str(folder / "bare.tflite"), *named, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["read_by"], facts["head"]["kind"]) == ("toml", "ssd")
    config = folder / "door.toml"
    config.write_text("[model]\nfile = 'bare.tflite'\ndescription = 'bare.toml'\n")
    assert cli.main(["check", str(config)]) == 0
    config.write_text("[model]\ndescription = 'bare.toml'\n")
    assert cli.main(["check", str(config)]) == 2
    assert "[model]: description needs a model" in capsys.readouterr().err


def test_edge_bench_takes_one_description_a_model(folder, shipped, capsys):
    (folder / "bare.toml").write_text(written(shipped))
    bare, named = str(folder / "bare.tflite"), ["--description", str(folder / "bare.toml")]
    both = [str(default_model_path()), bare, "--description", "-", *named]
    out = folder / "bench.json"

    assert (
        cli.main(["bench", *both, "--duration", "0.1s", "--starts", "1", "--json", str(out)]) == 0
    )

    rows = json.loads(out.read_text())["rows"]
    assert [row["setting"]["model"] for row in rows] == [shipped.description.name, "bare"]
    assert all(row["start"] for row in rows)
    capsys.readouterr()
    assert cli.main(["bench", bare, bare, *named]) == 2
    assert "once for each of 2 models, found it 1 times; write" in capsys.readouterr().err
    assert cli.main(["bench", *named]) == 2
    assert cli.main(["bench", "compare", "a", "b", *named]) == 2
    assert "takes no --description" in capsys.readouterr().err


def test_the_documented_file_can_be_read(folder, root):
    text = (root / "docs" / "description.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    described = read(folder, blocks[1]).description
    assert described.head == SsdHead()
    assert described.anchors is not None
    assert len(described.outputs) == 2
    assert all(f"| `{kind}` |" in text for kind in HEADS)
