"""Every block of the README does what it says.

A block's tag says how it is run. What a block needs from a board is replaced by its like: the
environment `~/edge` by the one at hand, the USB camera by `demo:`, port 1883 by a free one.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import bare_models
import jsonschema
import pytest
from broker import Listener, Mosquitto
from waiting import eventually

from edge.model import model_file
from edge.model.default import default_model_path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\S+) ?([^\n]*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
BIN = Path(sys.executable).parent


def blocks(language, tag):
    return [text for kind, name, text in BLOCKS if (kind, name) == (language, tag)]


def run(command, **options):
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=600, **options
    )


def at_hand(command, folder):
    """Return a command's words, its program taken from this environment instead of `folder`."""
    return [word.replace(folder, str(BIN)) for word in shlex.split(command)]


def test_every_block_has_a_tag_that_a_test_here_knows():
    known = {
        ("sh", ""), ("sh", "board"), ("sh", "subscriber"), ("sh", "converter"),
        ("sh", "eval"), ("sh", "bare"), ("sh", "card"),
        ("sh", "bench"),
        ("toml", "door.toml"), ("json", "payload"), ("python", "watch"),
    }  # fmt: skip
    assert {(kind, tag) for kind, tag, _ in BLOCKS} <= known


def test_the_first_command_runs_the_demo(tmp_path):
    first, second = blocks("sh", "")
    assert (first.strip(), second.strip()) == ("scripts/demo", "scripts/test")
    output = tmp_path / "demo.jpg"
    result = run([ROOT / "scripts" / "demo", "-o", output])
    assert result.returncode == 0, result.stdout + result.stderr
    assert "person" in result.stdout
    assert "cat" in result.stdout
    assert "p50 ms" in result.stdout
    assert output.stat().st_size > 10_000


def test_the_second_command_is_what_runs_this_test():
    # Its own run cannot be one of its tests: this asks it for its usage.
    assert run([ROOT / "scripts" / "test", "--help"]).returncode == 0


def test_the_board_block_is_made_of_commands_that_work(tmp_path):
    install, use = blocks("sh", "board")
    apt, venv, pip = (shlex.split(line) for line in install.splitlines())
    assert apt[:4] == ["sudo", "apt", "install", "-y"]
    assert venv == ["python3", "-m", "venv", "~/edge"]
    # The install itself is tests/acceptance/test_packaging.py, in an environment of its own.
    assert pip == ["~/edge/bin/pip", "install", "."]
    (text,) = blocks("toml", "door.toml")
    (tmp_path / "door.toml").write_text(text.replace("v4l2:/dev/video0", "demo:"))
    check, run_line = use.splitlines()
    checked = run(at_hand(check, "~/edge/bin"), cwd=tmp_path)
    assert checked.returncode == 0
    assert checked.stdout.startswith("door.toml: no faults\nmodel: ssdlite_mobilenet_v2_coco, run")
    assert run_line == "~/edge/bin/edge run door.toml"


def test_a_bare_model_is_asked_about_and_drafted(tmp_path):
    (tmp_path / "other.tflite").write_bytes(bare_models.classifier())
    (text,) = blocks("sh", "bare")
    commands = [at_hand(line, "~/edge/bin") for line in text.splitlines()]
    asked, drafted = (run(command, cwd=tmp_path) for command in commands)
    assert asked.returncode == 1
    assert "[input] color = " in asked.stderr
    assert drafted.returncode == 0
    assert 'color = "?"' in (tmp_path / "other.toml").read_text()


PYTHON_PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(text, id=f"{name}-{tag}")
        for name, page in (("README", README), ("python.md", PYTHON_PAGE))
        for tag, text in re.findall(
            r"^```python ([^\n]*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL
        )
    ],
)
def test_the_python_blocks_run_as_they_stand(block, tmp_path):
    scenes = ROOT / "edge" / "capture" / "scenes"
    code = block.replace("v4l2:/dev/video0", f"images:{scenes}").replace("photos", str(scenes))
    code = code.replace('"door.tflite"', repr(str(default_model_path())))
    image = f"import cv2\nimage = cv2.imread({str(scenes / 'chelsea.jpg')!r})\n"

    result = run([sys.executable, "-c", image + code], cwd=tmp_path)

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout


@pytest.mark.broker
def test_the_board_s_configuration_reaches_the_subscriber(tmp_path, mosquitto):
    (line,) = blocks("sh", "subscriber")
    assert shlex.split(line) == ["mosquitto_sub", "-h", "localhost", "-t", "edge/#", "-v"]
    (text,) = blocks("toml", "door.toml")
    text = text.replace("v4l2:/dev/video0", "demo:")
    # The listener subscribes to the same filter as the README's mosquitto_sub.
    with Mosquitto(mosquitto, tmp_path) as broker, Listener(broker.port) as listener:
        text = text.replace("mqtt://localhost", f"mqtt://localhost:{broker.port}")
        (tmp_path / "door.toml").write_text(text)
        result = run([BIN / "edge", "run", "door.toml", "--frames", "5"], cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        assert eventually(lambda: len(listener.payloads("edge/garage/door/detections")) == 5)
        assert eventually(
            lambda: listener.payloads("edge/garage/status") == [b"online", b"offline"]
        )
        assert eventually(
            lambda: listener.payloads("edge/garage/door/status") == [b"online", b"offline"]
        )


def test_the_payload_block_fits_the_schema():
    schema = json.loads((ROOT / "docs" / "payload.schema.json").read_text(encoding="utf-8"))
    (text,) = blocks("json", "payload")
    jsonschema.validate(json.loads(text), schema)


@pytest.mark.assets
@pytest.mark.converter
def test_the_converter_block_makes_a_model_that_runs(tmp_path, assets):
    source = assets / "models" / "ssdlite_mobilenet_v2_coco_tfjs"
    for file in source.iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "photos").mkdir()
    photos = sorted((assets / "data" / "coco_train178").rglob("*.jpg"))[:40]
    for photo in photos:
        (tmp_path / "photos" / photo.name).symlink_to(photo)
    (block,) = blocks("sh", "converter")
    venv, pip, *commands = block.splitlines()
    assert (venv, pip) == ("python3 -m venv .venv", ".venv/bin/pip install '.[converter]'")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for command in commands:
        result = run(at_hand(command, ".venv/bin"), cwd=tmp_path, env=environment)
        assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    assert len(result.stdout.splitlines()) == len(photos)
    (command,) = blocks("sh", "eval")
    (tmp_path / "instances.json").symlink_to(assets / "data" / "coco_train178" / "instances.json")
    result = run(at_hand(command, ".venv/bin"), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "mAP50-95" in result.stdout
    assert (tmp_path / "eval.html").stat().st_size > 10_000


def test_the_bench_block_measures_and_compares(tmp_path):
    measure, compare = (
        at_hand(line, ".venv/bin") for line in blocks("sh", "bench")[0].splitlines()
    )
    (tmp_path / "my.tflite").symlink_to(default_model_path())
    quick = ["--duration", "1s", "--starts", "1"]
    for name in ("before.json", "after.json"):
        words = [name if word == "bench.json" else word for word in measure]
        result = run([*words, *quick], cwd=tmp_path)
        assert result.returncode == 0, result.stderr
    assert (tmp_path / "bench.html").read_text().count("<svg") >= 2
    result = run(compare, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    rows = [line for line in result.stdout.splitlines() if re.search(r", [12] threads? ", line)]
    assert len(rows) == 2 * 4
    # Of each figure a verdict, or why there is none: on a busy machine windows disagree.
    assert all("significant" in row or "no ratio: windows disagree by" in row for row in rows)


def test_the_stated_accuracy_is_that_of_the_model_s_own_manifest():
    text = (ROOT / "edge" / "model" / "default" / "README.md").read_text(encoding="utf-8")
    for row in model_file.read(default_model_path()).manifest.accuracy:
        low, high = row.difference_interval
        numbers = f"{row.float_value:.4f} | {row.quantized_value:.4f} | {row.difference:+.4f} "
        stated = f"| {row.metric} | {numbers}[{low:+.4f}, {high:+.4f}] |".replace(
            "-0", "\N{MINUS SIGN}0"
        )
        assert stated in text
        assert row.difference >= -0.005
        assert f"{row.float_value:.3f} as float" in README or row.metric != "mAP50-95"


def test_each_command_has_just_the_verbs_of_the_table():
    for command, verbs in re.findall(r"^\| `(edge[a-z-]*)` \| (.*) \|$", README, re.MULTILINE):
        text = run([BIN / command, "--help"]).stdout
        listed = set(re.findall(r"^    ([a-z]+) ", text, re.MULTILINE))
        assert listed == set(re.findall(r"`(\w+)`", verbs)), command
