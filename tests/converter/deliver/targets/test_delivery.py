"""Files for other accelerators as a user asks for them: names, manifests, what is refused."""

from __future__ import annotations

import base64
import hashlib
import io
import json

import cv2
import numpy as np
import pytest
from float_tflite_models import FloatModel, conv
from reference import bright_net

from converter import export
from converter.cli.command import main
from converter.deliver.targets import tensorrt
from converter.deliver.targets.tensorrt import with_manifest
from converter.judge import gate
from edge.decode.segmentation import SegmentationHead
from edge.errors import ModelError
from edge.model import model_file, proof
from edge.model.default import default_model_path
from edge.model.description import InputTransform
from edge.model.loaded import load_model
from edge.model.model_file import ModelFile
from edge.model.readers.manifest import Manifest, Provenance
from edge.terminal.command import DONE, FAILED, MISUSED

SIDE = 16


def bare(model):
    """Return the bytes of an ONNX model without its metadata, and the metadata."""
    found = {entry.key: entry.value for entry in model.metadata_props}
    del model.metadata_props[:]
    return model.SerializeToString(deterministic=True), found


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for number in range(4):
        coarse = random.integers(0, 256, (4, 4, 3), np.uint8)
        image = cv2.resize(coarse, (64, 64), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{number}.png"), image)
    return folder


@pytest.fixture(scope="module")
def float_model(tmp_path_factory):
    return write_segmenter(tmp_path_factory.mktemp("float") / "tiny.tflite")


def write_segmenter(path, *, scales=(1, 1)):
    """Write a float segmenter of a few convolutions, the last two of some scales."""
    model = FloatModel((1, SIDE, SIDE, 3))
    model.then(
        "PAD", (model.last, model.whole(0, 0, 0, 0, 0, 0, 0, 1, shape=(4, 2))), (1, SIDE, SIDE, 4)
    )
    conv(model, shape=(1, SIDE, SIDE, 6))
    # Each class is a feature of its own, so that images of several colours show several.
    for features, scale in zip((6, 3), scales, strict=True):
        weights = (scale * np.eye(3, features, dtype=np.float32)).reshape(3, 1, 1, features)
        inputs = (model.last, model.constant(weights), model.constant(np.zeros(3, np.float32)))
        model.then("CONV_2D", inputs, (1, SIDE, SIDE, 3), padding="SAME", strideH=1, strideW=1)
    described = Manifest(
        name="tiny",
        input=InputTransform(
            size_wh=(SIDE, SIDE), color="rgb", mean=(127,) * 3, std=(127,) * 3, resize="stretch"
        ),
        outputs={"classes": "output"},
        head=SegmentationHead(activation="softmax"),
        labels=("sky", "sea", "land"),
        provenance=Provenance(
            source="a test", license="CC0", changes="none", recipe="float32", seed=0, tools={}
        ),
    )
    file = ModelFile.of(path, model.flatbuffer(), described, anchors=None)
    export.write(export.sealed(file, described), path)
    return path


def test_files_for_gpu_and_tensorrt_carry_the_manifest(float_model, images, tmp_path, capsys):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    stem = tmp_path / "my"
    words = ["export", str(float_model), "--gpu", "--tensorrt", "--images", str(images)]

    assert main([*words, "-o", str(stem)]) == DONE

    out = capsys.readouterr().out
    gpu = model_file.read(tmp_path / "my.gpu.tflite")
    assert gpu.manifest.provenance.recipe == "float16"
    assert load_model(gpu).spec.input.dtype == np.float32
    _, found = bare(onnx.load(tmp_path / "my.qdq.onnx"))
    manifest = json.loads(found["manifest.json"])
    assert tuple(manifest["labels"]) == gpu.description.labels == ("sky", "sea", "land")
    assert manifest["calibration"]["images"] == 1
    for suffix in ("qdq", "fp16"):
        made = model_file.read(tmp_path / f"my.{suffix}.onnx")
        assert made.description.labels == gpu.description.labels
        proof.check(load_model(made), made.manifest.proof)
        (line,) = (line for line in out.splitlines() if f"my.{suffix}.onnx: " in line)
        assert "passes, not proven: " in line  # of two images little is
        assert "classes cosine " in line
    first = (tmp_path / "my.qdq.onnx").read_bytes()
    assert main([*words, "-o", str(stem)]) == DONE
    assert (tmp_path / "my.qdq.onnx").read_bytes() == first


def test_an_onnx_file_that_the_gate_refuses_is_put_aside(
    float_model, images, tmp_path, capsys, monkeypatch
):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    real = gate.judge

    def judge(bill, budget):
        bad = bill.heads[0].cosine < 0.99999
        return gate.Verdict(gate.REFUSED, ("a test",)) if bad else real(bill, budget)

    monkeypatch.setattr(gate, "judge", judge)
    words = ["export", str(float_model), "--tensorrt", "--images", str(images)]

    assert main([*words, "-o", str(tmp_path / "my")]) == FAILED

    assert "my.qdq.onnx.rejected: symmetric int8 for TensorRT; refused: a test" in (
        capsys.readouterr().out
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "my.fp16.onnx", "my.qdq.onnx.rejected"
    ]  # fmt: skip


@pytest.mark.parametrize("scales", [(6e4, 1e-4), (6e4, 1)], ids=["within", "at the end"])
def test_what_does_not_fit_float16_is_refused_and_the_int8_file_is_there(
    images, tmp_path, capsys, scales
):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    model = write_segmenter(tmp_path / "large.tflite", scales=scales)

    assert main(["export", str(model), "--tensorrt", "--images", str(images)]) == FAILED

    out = capsys.readouterr().out
    assert "float16 for CUDA and TensorRT; refused: '" in out
    assert "and float16 ends at 65504" in out
    assert sorted(path.name for path in tmp_path.glob("*.onnx*")) == [
        "large.fp16.onnx.rejected", "large.qdq.onnx"
    ]  # fmt: skip


def test_a_graph_that_gives_no_numbers_is_not_taken_for_the_float_model(
    float_model, images, monkeypatch
):
    pytest.importorskip("onnx")
    heads = iter([{"classes": np.ones(4, np.float32)}, {"classes": np.float32([1, np.nan, 1, 1])}])
    monkeypatch.setattr(tensorrt, "_heads", lambda *_: next(heads))

    with pytest.raises(ModelError, match="expected the ONNX graph to compute the float model"):
        tensorrt.check_plain(model_file.read(float_model), sorted(images.iterdir()))


def test_a_missing_folder_is_told_before_the_images_are_read(float_model, tmp_path, capsys):
    words = ["export", str(float_model), "--tensorrt", "--images", str(tmp_path / "none")]

    assert main([*words, "-o", str(tmp_path / "nowhere" / "my")]) == MISUSED
    assert "its folder is not there" in capsys.readouterr().err


def test_the_manifest_and_the_anchors_stand_in_the_metadata_and_the_digest_is_that_without():
    onnx = pytest.importorskip("onnx")
    file = model_file.read(default_model_path())
    weights = onnx.numpy_helper.from_array(np.arange(4, dtype=np.float32), "w")
    model = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [], [weights]))

    data = with_manifest(model, file.own_manifest(), file.description.anchors)

    without, found = bare(onnx.load_model_from_string(data))
    stored = base64.b64decode(found["anchors.npy"], validate=True)
    assert np.array_equal(np.load(io.BytesIO(stored)), file.description.anchors)
    digest = "sha256:" + hashlib.sha256(without).hexdigest()
    assert json.loads(found["manifest.json"])["digest"] == digest


def test_the_edge_tpu_is_checked_with_and_without_its_compiler(
    compiler, tmp_path, capsys, monkeypatch
):
    words = ["export", str(default_model_path()), "--edgetpu", "-o", str(tmp_path / "my")]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(words) == DONE
    out = capsys.readouterr().out
    assert "113 of 113 ops on the Edge TPU" in out
    assert "Coral's own apt repository" in out

    compiler("all")
    assert main(words) == DONE
    assert "compiled by edgetpu_compiler 16.0.384591198" in capsys.readouterr().out
    assert model_file.read(tmp_path / "my.edgetpu.tflite").description.labels

    compiler("refuse")
    assert main(words) == FAILED
    assert "EXP" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "expected what to make"),
        (["--gpu"], "--gpu needs the float model"),
        (["--tensorrt"], "--tensorrt needs the float model"),
        (["--tensorrt", "--images", "not there"], "--tensorrt needs the float model"),
    ],
    ids=["nothing", "gpu", "tensorrt", "before any image is read"],
)
def test_what_an_int8_model_cannot_become_is_said(options, words, capsys):
    assert main(["export", str(default_model_path()), *options]) == MISUSED
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--edgetpu"], "needs the int8 model"), (["--tensorrt"], "add --images DIR")],
    ids=["edgetpu", "no images"],
)
def test_what_a_float_model_cannot_become_is_said(float_model, options, words, capsys):
    assert main(["export", str(float_model), *options]) == MISUSED
    assert words in capsys.readouterr().err


def run_words(folder, images, *options):
    export.write(bright_net.model_file(), folder / "float.tflite")
    words = ["run", str(folder / "float.tflite"), "--family", "ssd", "--images", str(images)]
    counts = ["--count", "2", "--held-back", "2", "--no-report", "--no-repair"]
    return [*words, *counts, *options, "-o", str(folder / "my.tflite")]


def test_run_makes_them_beside_the_model(tmp_path, capsys):
    (tmp_path / "images").mkdir()
    images = bright_net.write_images(tmp_path / "images", 8)[0].parent

    assert main(run_words(tmp_path, images, "--gpu", "--edgetpu")) == DONE

    assert "ops on the Edge TPU" in capsys.readouterr().out
    assert model_file.read(tmp_path / "my.gpu.tflite").manifest.provenance.recipe == "float16"
