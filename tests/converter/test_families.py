"""Models that are no plain detectors go the whole way, by the command, to what a board runs."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from reference import onnx_beside, whole_nets

from converter.cli.command import main
from converter.quantize.threshold import with_threshold
from edge.capture.images import load_image
from edge.model import model_file
from edge.model.loaded import load_model
from edge.terminal.command import DONE, FAILED, MISUSED

pytestmark = pytest.mark.converter
INPUT = ["--input", "rgb", "--resize", "stretch"]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return whole_nets.write_images(folder, 48)


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nets")
    (folder / "colours.tflite").write_bytes(whole_nets.classifier())
    (folder / "blocks.tflite").write_bytes(whole_nets.autoencoder())
    (folder / "labels.txt").write_text("\n".join(whole_nets.COLOURS))
    return folder


def run(nets, name, images, output, *more):
    """Return the status of a conversion."""
    return main(["run", str(nets / f"{name}.tflite"), *INPUT, "--images", str(images[0].parent),
                 "-o", str(output), *more])  # fmt: skip


def test_a_classifier_is_told_by_its_softmax_and_says_the_same_in_int8(
    nets, images, tmp_path, capsys
):
    output = tmp_path / "colours.tflite"
    labels = ["--labels", str(nets / "labels.txt")]

    assert run(nets, "colours", images, output, *labels, "--range", "0..1", "--json") == DONE

    fields = json.loads(capsys.readouterr().out)
    assert (fields["head"], fields["matched"], fields["expected"]) == ("classes", 24, 24)
    assert fields["figures"]["top-1 agreement"] == 1
    assert fields["verdict"] == "passes, not proven", "of fewer than 50 images nothing is proven"
    model = load_model(model_file.read(output))
    assert model.spec.outputs["scores"].dtype == np.int8
    best = [int(model(load_image(path)).class_ids[0]) for path in images[:6]]
    assert best == [0, 1, 2, 0, 1, 2]
    html = (tmp_path / "colours.report" / "report.html").read_text("utf-8")
    assert "24 of 24 the same" in html
    assert "mean change of the best score" in html


def test_labels_of_a_classifier_are_asked_for(nets, images, tmp_path, capsys):
    assert run(nets, "colours", images, tmp_path / "o.tflite", "--range", "0..1") == MISUSED
    assert "--labels FILE" in capsys.readouterr().err


def test_an_autoencoder_has_the_threshold_of_its_own_good_images(nets, images, tmp_path, capsys):
    output, kept = tmp_path / "blocks.tflite", tmp_path / "float.tflite"

    status = run(nets, "blocks", images, output, "--range", "0..1", "--float", str(kept),
                 "--quantile", "0.5", "--json", "--no-report")  # fmt: skip

    assert status == DONE
    fields = json.loads(capsys.readouterr().out)
    assert (fields["head"], fields["objects"], fields["expected"]) == ("anomaly", 24, 0)
    assert fields["figures"]["rank correlation"] > 0.99
    for path in (output, kept):
        file = model_file.read(path)
        model, threshold = load_model(file), file.description.head.threshold
        errors = np.array([model(load_image(image)).error for image in images])
        assert 0.3 < np.mean(errors < threshold) < 0.7
        assert f"threshold {threshold:g}: the 0.5 quantile of the errors of 14 images" in str(
            file.own_manifest().provenance.steps
        )


def test_an_autoencoder_that_is_fed_the_wrong_pixels_is_refused_before_the_work(
    nets, images, tmp_path, capsys
):
    assert run(nets, "blocks", images, tmp_path / "o.tflite", "--range", "0..255") == FAILED
    assert "where one even colour has" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_labels_are_the_folders_and_only_good_images_make_the_threshold(
    nets, images, tmp_path, capsys
):
    folder = tmp_path / "images"
    for number, path in enumerate(images):
        odd = number % 3 == 0
        place = folder / ("scratched" if odd else "good") / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        image = load_image(path).copy()
        if odd:
            image[::2] = 0
        cv2.imwrite(str(place), image)
    output = tmp_path / "o.tflite"

    status = run(nets, "blocks", [folder], output, "--range", "0..1", "--json",
                 "--no-report", "--annotations", str(folder))  # fmt: skip

    assert status == DONE
    (row,) = json.loads(capsys.readouterr().out)["accuracy"]
    assert (row["metric"], row["reference"], row["difference"]) == ("AUROC", 1, 0)
    model = load_model(model_file.read(output))
    alarms = [model(load_image(path)).is_anomaly for path in sorted(folder.glob("scratched/*"))]
    assert all(alarms), "of 14 images that calibrate some are scratched"


def test_folders_without_good_images_are_told_as_such_before_the_work(
    nets, images, tmp_path, capsys
):
    for number, path in enumerate(images):
        place = tmp_path / "set" / ("fine", "scratched")[number % 2] / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())

    status = run(nets, "blocks", [tmp_path / "set"], tmp_path / "o.tflite", "--range", "0..1",
                 "--annotations", str(tmp_path / "set"))  # fmt: skip

    assert status == FAILED
    assert "expected a folder of good images, named good or" in capsys.readouterr().err


def test_a_net_that_gives_nothing_back_of_its_image_is_no_autoencoder(nets, images, tmp_path):
    path = tmp_path / "flat.tflite"
    path.write_bytes(whole_nets.autoencoder(sharpness=60.0))
    assert main(["run", str(path), *INPUT, "--range", "0..1", "--images", str(images[0].parent),
                 "-o", str(tmp_path / "o.tflite")]) == FAILED  # fmt: skip


def test_annotations_that_cannot_judge_a_model_are_refused_before_the_work(
    nets, images, tmp_path, capsys
):
    rows = [
        {"id": number, "file_name": path.name, "width": 32, "height": 32}
        for number, path in enumerate(images, start=1)
    ]
    boxes = {"images": rows, "annotations": [], "categories": [{"id": 1, "name": "red"}]}
    (tmp_path / "labels.json").write_text(json.dumps(boxes))
    labels = ["--labels", str(nets / "labels.txt")]

    status = run(nets, "colours", images, tmp_path / "o.tflite", *labels, "--range", "0..1",
                 "--annotations", str(tmp_path / "labels.json"))  # fmt: skip

    assert status == FAILED
    assert "a classifier is judged by classes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("make", "task", "figure"),
    [(onnx_beside.yolov8_seg, "instances", "mask IoU"), (onnx_beside.yolov8_pose, "pose", "OKS")],
    ids=["seg", "pose"],
)
def test_a_yolo_with_something_beside_its_boxes_needs_no_option(
    make, task, figure, tmp_path, capsys
):
    (tmp_path / "m.onnx").write_bytes(make().SerializeToString())
    for number in range(12):
        cells = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        large = cv2.resize(cells, (96, 64), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(tmp_path / f"{number}.png"), large)
    output = tmp_path / "o.tflite"

    status = main(["run", str(tmp_path / "m.onnx"), "--images", str(tmp_path), "-o", str(output),
                   "--tolerance", "99", "--json", "--no-report"])  # fmt: skip

    assert status == DONE
    fields = json.loads(capsys.readouterr().out)
    ((name, value),) = fields["figures"].items()
    assert figure in name
    assert value > 0.9
    assert fields["matched"] > 0.9 * fields["expected"] > 0
    model = load_model(model_file.read(output))
    assert (model.task, model.spec.input.dtype) == (task, np.int8)
    assert len(model(load_image(tmp_path / "0.png")))


def test_below_the_threshold_of_all_images_lies_each_of_them(nets, images, tmp_path):
    output = tmp_path / "o.tflite"
    assert run(nets, "blocks", images, output, "--range", "0..1", "--no-report") == DONE
    file = model_file.read(output)

    for count in range(1, 9):
        model = load_model(with_threshold(file, images[:count], quantile=1.0))
        assert not any(model(load_image(path)).is_anomaly for path in images[:count])


def test_other_models_have_no_threshold_to_measure(images):
    from reference import bright_net  # noqa: PLC0415

    file = bright_net.model_file()

    assert with_threshold(file, images[:1]) is file
