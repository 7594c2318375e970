"""A sweep draws the levers, and says which point to take."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from reference import bright_net

from converter import export
from converter.cli.command import main
from converter.deliver.sweep import CHANNELS, INPUT, WHOLE, Point, choose
from converter.judge.latency import Latency
from converter.prune.measures import Macs, Target
from edge.terminal.command import DONE

pytestmark = pytest.mark.converter


def point(lever, times, value, *, passes=False):
    return Point(lever, times, times, 10 / times, 1.0, value, value - 0.01, value + 0.01, passes)


def test_the_fastest_that_passes_is_taken():
    whole = point(WHOLE, 1.0, 0.5, passes=True)
    taken, _ = choose([whole, point(CHANNELS, 1.2, 0.5, passes=True), point(INPUT, 1.6, 0.3)])
    assert taken == 1


@pytest.mark.parametrize("passes", [True, False])
def test_where_no_faster_one_passes_the_whole_is_taken_and_the_least_loss_named(passes):
    whole = point(WHOLE, 1.0, 0.5, passes=passes)
    taken, why = choose([whole, point(CHANNELS, 1.2, 0.2), point(INPUT, 1.6, 0.4)])
    assert taken == 0
    assert "smaller input, 1.60 times as fast, loses the least" in why
    assert "--max-loss" in why
    assert ("not even this" in why) is not passes


def test_a_sweep_writes_models_figures_and_a_picture(tmp_path, monkeypatch, capsys):
    # Multiplications and fixed times: a busy machine says the same.
    monkeypatch.setattr(Target, "measured", lambda self, file, _: (Macs(file), self.speedup))
    monkeypatch.setattr(
        "converter.deliver.sweep.measure",
        lambda files, **_: {name: Latency(10 / (1 + n), 1, 2, 3) for n, name in enumerate(files)},
    )
    folder, model = tmp_path / "photos", tmp_path / "bright.tflite"
    folder.mkdir()
    bright_net.write_images(folder, 40)
    export.write(bright_net.model_file(), model)
    arguments = ["run", str(model), "--sweep", "2", "--images", str(folder), "--no-report"]
    with pytest.raises(SystemExit):
        main([*arguments, "--sweep", "0.5", "-o", str(tmp_path / "o.tflite")])
    assert main([*arguments, "-o", str(tmp_path / "o.tflite")]) == DONE
    said = capsys.readouterr().out
    found = json.loads((tmp_path / "o.sweep/sweep.json").read_text())
    assert [row["lever"] for row in found["points"]] == [WHOLE, INPUT]
    assert "not there: fewer channels: expected channels that may go" in said
    assert "not there: smaller input, lower rank: " in said
    assert f"take        {'smaller input' if found['take'].startswith(INPUT) else 'whole'}" in said
    assert all((tmp_path / "o.sweep" / row["file"]).is_file() for row in found["points"])
    picture = cv2.imread(str(tmp_path / "o.sweep/sweep.png"))
    assert picture.shape[1] > 600
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 10
    assert not (tmp_path / "o.tflite").exists()
