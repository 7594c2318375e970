"""`edge` as its users meet it: a process, its streams and its exit status."""

import json
import resource
import subprocess
import sys

import cv2
import numpy as np
import pytest

from edge.model import model_file
from edge.model.default import default_model_path
from edge.model.readers import manifest

pytestmark = pytest.mark.board


def edge(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "edge", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        **options,
    )


def lines_of(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def assert_one_sentence(result, *parts, status=1):
    """Assert an exit status and a single error line that holds each part, without a traceback."""
    assert result.returncode == status, result.stderr
    assert "Traceback" not in result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("edge: ")]
    assert len(errors) == 1, result.stderr
    for part in parts:
        assert part in errors[0]


@pytest.fixture
def image_file(tmp_path):
    path = tmp_path / "noise.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    assert cv2.imwrite(str(path), noise)
    return path


def test_the_demo_source_gives_one_json_line_a_frame():
    result = edge("run", "--source", "demo:", "--frames", 5)
    assert result.returncode == 0, result.stderr
    payloads = lines_of(result)
    assert len(payloads) == 5
    assert {detection["label"] for detection in payloads[0]["detections"]} >= {"person"}
    assert payloads[0]["frame"] == {"width_px": 1280, "height_px": 720}


def test_the_same_image_gives_the_same_detections_twice(image_file):
    first, second = (
        [line["detections"] for line in lines_of(edge("run", "--source", f"file:{image_file}"))]
        for _ in range(2)
    )
    assert first == second
    assert len(first) == 1


def test_a_video_that_ends_ends_the_run_with_every_frame_published(tmp_path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    for level in range(12):
        writer.write(np.full((48, 64, 3), 20 * level, np.uint8))
    writer.release()
    result = edge("run", "--source", f"file:{path}")
    assert result.returncode == 0, result.stderr
    assert [line["sequence"] for line in lines_of(result)] == list(range(12))


def test_a_reader_that_leaves_early_is_no_error():
    with subprocess.Popen(
        [sys.executable, "-m", "edge", "run", "--source", "demo:"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline().startswith("{")
        process.stdout.close()
        assert process.wait(300) == 0
        assert "Traceback" not in process.stderr.read()


def test_a_stop_signal_ends_a_run_with_success():
    with subprocess.Popen(
        [sys.executable, "-m", "edge", "run", "--source", "demo:"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline().startswith("{")
        process.terminate()
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 0
    assert "frames/s" in errors


class TestBadModels:
    def test_a_missing_model(self, tmp_path):
        path = tmp_path / "gone.tflite"
        assert_one_sentence(edge("run", "--model", path), str(path), "no such file", status=2)

    @pytest.mark.parametrize(
        ("share", "said"),
        [(0.0, "expected"), (0.001, "damaged"), (0.5, "damaged"), (0.999, "expected")],
    )
    def test_a_truncated_model(self, tmp_path, share, said):
        path = tmp_path / "short.tflite"
        data = default_model_path().read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        assert_one_sentence(edge("run", "--model", path), str(path), said, status=2)

    def test_a_damaged_model(self, tmp_path):
        path = tmp_path / "flipped.tflite"
        data = bytearray(default_model_path().read_bytes())
        data[len(data) // 3] ^= 0x10
        path.write_bytes(data)
        assert_one_sentence(
            edge("run", "--model", path), str(path), "damaged", "copy the file again", status=2
        )

    def test_a_foreign_file(self, tmp_path, image_file):
        result = edge("run", "--model", image_file)
        assert_one_sentence(result, "expected a TensorFlow Lite or ONNX model", status=2)

    def test_a_bare_model_without_a_manifest(self, tmp_path):
        path = tmp_path / "bare.tflite"
        path.write_bytes(model_file.read(default_model_path()).flatbuffer)
        result = edge("run", "--model", path)
        assert result.returncode == 2
        assert "Traceback" not in result.stderr
        for part in (f"edge inspect {path} --draft", "[head] kind", "[input] color"):
            assert part in result.stderr

    def test_labels_that_do_not_fit_the_head(self, tmp_path):
        file = model_file.read(default_model_path())
        short = file.manifest.replace(labels=file.description.labels[:80])
        path = tmp_path / "labels.tflite"
        path.write_bytes(manifest.append(file.flatbuffer, short, file.description.anchors))
        assert_one_sentence(edge("run", "--model", path), "80 labels", "91 columns")


class TestBadSources:
    def test_a_file_that_is_not_there(self, tmp_path):
        result = edge("run", "--source", f"file:{tmp_path}/gone.mp4")
        assert_one_sentence(result, "gone.mp4", status=2)

    def test_a_file_that_is_no_video(self, tmp_path):
        path = tmp_path / "clip.mp4"
        path.write_bytes(b"not a video" * 100)
        assert_one_sentence(edge("run", "--source", f"file:{path}"), "clip.mp4", status=2)

    def test_a_scheme_that_nobody_knows(self):
        result = edge("run", "--source", "rstp://x")
        assert_one_sentence(result, "demo:", "file:", "v4l2:", status=2)

    def test_a_camera_that_is_not_there(self):
        assert_one_sentence(edge("run", "--source", "v4l2:/dev/video987"), "/dev/video987")


def test_a_wrong_configuration_is_misuse(tmp_path):
    path = tmp_path / "door.toml"
    path.write_text("[camera]\nsuorce = 'demo:'\n")
    assert_one_sentence(edge("run", path), "did you mean 'source'?", status=2)


def test_an_unknown_option_is_misuse():
    assert edge("run", "--nonsense").returncode == 2


def test_debug_shows_the_traceback(tmp_path):
    result = edge("run", "--debug", "--model", tmp_path / "gone.tflite")
    assert result.returncode != 0
    assert "Traceback" in result.stderr


def test_a_full_disk_at_the_annotated_image_is_one_sentence(tmp_path):
    limit_bytes = 4096

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    code = (
        "import sys, pathlib, numpy as np\n"
        "from edge import errors\n"
        "from edge.demo import demonstration\n"
        "noise = np.random.default_rng(0).integers(0, 255, (360, 640, 3), np.uint8)\n"
        "try: demonstration.write_image(pathlib.Path(sys.argv[1]), noise)\n"
        "except errors.SinkError as error: print(error)\n"
    )
    path = tmp_path / "demo.jpg"
    result = subprocess.run(
        # -B: of a module's bytecode the limit would cut the end off, and leave the rest for others.
        [sys.executable, "-B", "-c", code, path],
        check=True,
        capture_output=True,
        text=True,
        preexec_fn=limit,
    )
    assert "cannot be written" in result.stdout
    assert "edge demo -o FILE" in result.stdout
    assert list(tmp_path.iterdir()) == []


class TestCheck:
    def write(self, tmp_path, text):
        path = tmp_path / "door.toml"
        path.write_text(text)
        return path

    def test_a_sound_configuration_has_no_faults(self, tmp_path):
        path = self.write(
            tmp_path, "[camera]\nsource = 'v4l2:/dev/video0'\n[mqtt]\nurl='mqtt://x'\n"
        )
        result = edge("check", path)
        assert result.returncode == 0
        assert result.stdout.startswith(f"{path}: no faults\nmodel: ")

    def test_faults_of_text_model_and_source_are_all_named_at_once(self, tmp_path):
        path = self.write(
            tmp_path,
            "[camera]\nsource = 'rstp://x'\n[model]\nfile = 'gone.tflite'\n[device]\nnmae = 'x'\n",
        )
        result = edge("check", path, "--json")
        assert result.returncode == 2
        faults = json.loads(result.stdout)["faults"]
        assert len(faults) == 3
        assert any("did you mean 'name'?" in fault for fault in faults)
        assert any("gone.tflite: no such file" in fault for fault in faults)
        assert any("rstp" in fault for fault in faults)

    @pytest.mark.parametrize("scheme", ["file", "images"])
    def test_a_source_that_is_not_there_is_a_fault(self, tmp_path, scheme):
        path = self.write(tmp_path, f"[camera]\nsource = '{scheme}:gone'\n")
        [fault] = json.loads(edge("check", path, "--json").stdout)["faults"]
        assert f"{tmp_path / 'gone'}: expected a" in fault
        assert "found nothing" in fault
        (tmp_path / "gone").mkdir()
        [fault] = json.loads(edge("check", path, "--json").stdout)["faults"]
        assert "found none in 0 entries" in fault
        cv2.imwrite(str(tmp_path / "gone" / "a.png"), np.zeros((8, 8, 3), np.uint8))
        assert edge("check", path).returncode == 0

    def test_what_run_would_refuse_of_password_and_certificates_is_a_fault_here(self, tmp_path):
        (tmp_path / "secret").write_text("s3cret\n")
        (tmp_path / "secret").chmod(0o644)
        (tmp_path / "ca.pem").write_text("no certificate")
        path = self.write(
            tmp_path,
            "[mqtt]\nurl = 'mqtts://me@x'\npassword_file = 'secret'\nca_file = 'ca.pem'\n",
        )
        faults = json.loads(edge("check", path, "--json").stdout)["faults"]
        assert len(faults) == 2
        assert f"chmod 600 {tmp_path / 'secret'}" in faults[0]
        assert "ca.pem: expected certificates in PEM form" in faults[1]
        assert "s3cret" not in str(faults)


class TestInspect:
    def test_the_table_names_tensors_head_labels_and_origin(self):
        text = edge("inspect").stdout
        for part in ("boxes", "scores", "int8", "1917 anchors", "person", "Apache-2.0", "mAP50-95"):
            assert part in text

    def test_json_holds_the_same(self):
        facts = json.loads(edge("inspect", "--json").stdout)
        roles = {tensor["role"]: tensor for tensor in facts["tensors"]}
        assert roles["input"]["shape"] == [1, 300, 300, 3]
        assert {tensor["dtype"] for tensor in facts["tensors"]} == {"int8"}
        assert facts["labels"][0] == "person"


@pytest.mark.parametrize("verb", ["", "run", "check", "inspect", "demo", "eval"])
def test_help_fits_a_screen(verb):
    result = edge(*([verb] if verb else []), "--help")
    assert result.returncode == 0
    assert len(result.stdout.splitlines()) <= 40
