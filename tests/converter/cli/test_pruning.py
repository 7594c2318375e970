"""`edge-convert prune`, and `run` of a pruned model: what is made, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from reference import bright_net

from converter import export
from converter.cli.command import main
from converter.graph.reading import read
from converter.graph.writing import write
from converter.prune import pruning
from edge.model import model_file
from edge.model.default import default_model_path
from edge.model.model_file import ModelFile
from edge.terminal.command import DONE, FAILED, MISUSED

pytestmark = pytest.mark.converter
REPEATS = 4


def repeated(path):
    """Return where the bright net stands, each channel of it four times; a quarter is enough."""
    file = bright_net.model_file()
    graph = read(file.flatbuffer, file.path)
    tensors = dict(graph.tensors)

    def set_(name, value):
        tensors[name] = replace(tensors[name], value=value.astype(np.float32), shape=value.shape)

    for op in graph.ops:
        if op.kind != "CONV_2D":
            continue
        weights, bias = (graph.value(name) for name in op.inputs[1:])
        if op.inputs[0] in graph.inputs:
            set_(op.inputs[1], np.tile(weights, (REPEATS, 1, 1, 1)))
            set_(op.inputs[2], np.tile(bias, REPEATS))
            shape = graph.shape(op.output)
            wide = (*shape[:3], shape[3] * REPEATS)
            tensors[op.output] = replace(tensors[op.output], shape=wide)
        else:
            set_(op.inputs[1], np.tile(weights, (1, 1, 1, REPEATS)) / REPEATS)
    flatbuffer = write(replace(graph, tensors=tensors))
    made = ModelFile.of(file.path, flatbuffer, file.own_manifest(), anchors=bright_net.anchors())
    export.write(export.sealed(made, made.own_manifest()), path)
    return path


@pytest.fixture
def wide(tmp_path):
    """Return a float model of 32 channels, a folder of 40 images, and where to put a result."""
    folder = tmp_path / "photos"
    folder.mkdir()
    bright_net.write_images(folder, 40)
    return repeated(tmp_path / "wide.tflite"), folder, tmp_path / "made.tflite"


def channels_of(path):
    file = model_file.read_own(path)
    graph = read(file.flatbuffer, path)
    return graph.shape(graph.ops[0].output)[3]


def test_prune_cuts_what_the_rest_makes_up_for_and_says_so(wide, capsys):
    model, images, output = wide
    arguments = ["prune", str(model), "--macs", "0.25", "--images", str(images), "-o", str(output)]
    assert main([*arguments, "--json"]) == DONE
    said = json.loads(capsys.readouterr().out)
    assert channels_of(output) == bright_net.CHANNELS
    assert said["gain"] == pytest.approx(REPEATS)
    assert said["error_refitted"] < 1e-3
    steps = model_file.read_own(output).own_manifest().provenance.steps
    assert "8 of 32 channels left where some went" in steps[-1]


def test_run_prunes_and_judges_beside_the_whole_model(wide, capsys):
    model, images, output = wide
    arguments = ["run", str(model), "--macs", "0.25", "--images", str(images), "--no-report"]
    assert main([*arguments, "-o", str(output)]) == DONE
    said = capsys.readouterr()
    assert "pruned: 4.00 times fewer multiplications" in said.err
    assert "verdict     passes" in said.out
    assert channels_of(output) == bright_net.CHANNELS
    manifest = model_file.read_own(output).own_manifest()
    assert any(step.startswith("pruned: ") for step in manifest.provenance.steps)
    assert set(manifest.image_sets) == {"calibrate", "select", "judge"}


def squares(path, images, *names):
    """Write a COCO file that boxes the squares of the bright net's images."""
    side, rows = bright_net.IMAGE_CELL_PX, []
    for number in range(images):
        drawn = np.random.default_rng(number).choice(bright_net.COUNT, number % 6, replace=False)
        for cell in drawn.tolist():
            y, x = (side * at for at in divmod(cell, bright_net.GRID))
            rows.append({"id": len(rows) + 1, "image_id": number, "category_id": 1,
                         "bbox": [x, y, side, side]})  # fmt: skip
    size = side * bright_net.GRID
    path.write_text(json.dumps({
        "annotations": rows,
        "categories": [{"id": at, "name": name} for at, name in enumerate(names, start=1)],
        "images": [{"id": number, "file_name": f"{number:02}.png", "width": size, "height": size}
                   for number in range(images)],
    }))  # fmt: skip
    return path


def test_what_a_cut_left_is_trained_by_labels(wide, tmp_path, capsys):
    model, images, output = wide
    labels = squares(tmp_path / "squares.json", 40, *bright_net.LABELS)
    arguments = ["prune", str(model), "--macs", "0.25", "--images", str(images)]
    trained = ["--recover", "0.2", "--recover-labels", str(labels), "-o", str(output), "--json"]
    assert main([*arguments, *trained]) == DONE
    # Its boxes are right already, so that there may be nothing to gain; which of both, it says.
    step = json.loads(capsys.readouterr().out)["step"]
    assert "by labels" in step
    assert "steps of 16 of 30 images, seed 0; score on 9 others 1.000 before" in step
    assert step.split(":")[0] in model_file.read_own(output).own_manifest().provenance.changes
    assert channels_of(output) == bright_net.CHANNELS
    assert not output.with_name("made.tflite.partial").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "--recover-labels says by what to recover: give --recover as well"),
        (["--recover"], "expected boxes of square, never, found those of horse only"),
    ],
    ids=["no recovery", "other classes"],
)
def test_labels_that_help_nothing_are_refused_before_the_work(
    wide, tmp_path, capsys, options, said
):
    model, images, output = wide
    labels = squares(tmp_path / "squares.json", 40, "horse")
    arguments = ["prune", str(model), "--macs", "0.25", "--images", str(images), *options]
    assert main([*arguments, "--recover-labels", str(labels), "-o", str(output)]) == MISUSED
    assert said in capsys.readouterr().err
    assert not output.with_name("made.tflite.partial").exists()


def test_a_target_out_of_reach_names_the_best_and_why(wide, capsys):
    model, images, output = wide
    arguments = ["prune", str(model), "--macs", "0.1", "--lever", "channels",
                 "--images", str(images), "-o", str(output)]  # fmt: skip
    assert main(arguments) == FAILED
    said = capsys.readouterr().err
    assert "expected 10 times fewer multiplications to be in reach, found 4.00 at most" in said
    assert "8 of 32 channels must stay" in said
    assert not output.exists()


def test_a_model_of_eight_channels_has_nothing_to_cut(wide, float_model, capsys):
    _, images, output = wide
    arguments = ["prune", str(float_model), "--macs", "0.5", "--lever", "channels",
                 "--images", str(images)]  # fmt: skip
    assert main([*arguments, "-o", str(output)]) == FAILED
    assert "expected channels that may go, found none" in capsys.readouterr().err


def test_a_quantised_model_is_refused(wide, capsys):
    _, images, output = wide
    arguments = ["prune", str(default_model_path()), "--speedup", "1.3", "--images", str(images)]
    assert main([*arguments, "-o", str(output)]) == FAILED
    assert "quantised already" in capsys.readouterr().err


def test_too_few_images_are_refused_before_the_work(wide, capsys):
    model, images, output = wide
    arguments = ["prune", str(model), "--macs", "0.5", "--images", str(images), "--count", "15"]
    assert main([*arguments, "-o", str(output)]) == FAILED
    assert "expected 16 images or more to refit to, found 15" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [[], ["--speedup", "1.3", "--macs", "0.5"], ["--speedup", "1"], ["--macs", "1.5"]],
    ids=["neither", "both", "no faster", "more"],
)
def test_one_target_is_wanted_that_asks_for_something(wide, options):
    model, images, output = wide
    with pytest.raises(SystemExit) as stopped:
        main(["prune", str(model), *options, "--images", str(images), "-o", str(output)])
    assert stopped.value.code == MISUSED


def test_an_interrupt_leaves_no_model_and_resume_comes_to_the_same(wide, monkeypatch, capsys):
    model, images, output = wide
    arguments = ["prune", str(model), "--macs", "0.5", "--lever", "channels", "--rounds", "2",
                 "--images", str(images), "-o", str(output)]  # fmt: skip
    assert main(arguments) == DONE
    wanted = output.read_bytes()
    output.unlink()
    refit, turns = pruning.healed, []

    def interrupted(*what, **words):
        turns.append(len(turns))
        if len(turns) == 2:
            raise KeyboardInterrupt
        return refit(*what, **words)

    monkeypatch.setattr("converter.prune.pruning.healed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        main(arguments)
    assert not output.exists()
    assert f"--resume goes on with what lies in {output}.partial" in capsys.readouterr().err
    monkeypatch.setattr("converter.prune.pruning.sensitivities", None)
    assert main([*arguments, "--resume"]) == DONE
    assert output.read_bytes() == wanted
    left = {path.name for path in output.parent.iterdir()}
    assert left == {"photos", "wide.tflite", "made.tflite"}
    assert main([*arguments, "--resume"]) == MISUSED
    assert "--resume expected what the same command left there" in capsys.readouterr().err


def test_the_input_is_a_lever_too(wide, capsys):
    model, images, output = wide
    arguments = ["prune", str(model), "--images", str(images), "-o", str(output)]
    assert main([*arguments, "--input-size", "16", "--json"]) == DONE
    assert model_file.read_own(output).description.input.size_wh == (16, 16)
    assert main([*arguments, "--macs", "0.3", "--lever", "input"]) == DONE
    file = model_file.read_own(output)
    assert file.description.input.size_wh == (16, 16)
    assert "4.00 times fewer" in capsys.readouterr().out


def test_run_judges_a_smaller_input_beside_the_whole_model(wide, capsys):
    model, images, output = wide
    arguments = ["run", str(model), "--input-size", "64", "--images", str(images), "--tolerance",
                 "1000", "-o", str(output)]  # fmt: skip
    assert main(arguments) == DONE
    said = capsys.readouterr()
    assert "input 64x64 instead of 32x32" in said.err
    assert model_file.read_own(output).description.input.size_wh == (64, 64)


def test_a_board_says_what_its_ops_take_and_another_models_times_are_refused(wide, capsys):
    model, images, output = wide
    times = output.with_name("board.json")
    file = model_file.read_own(model)
    ops = read(file.flatbuffer, model).ops
    layers = [{"output": op.output, "time_us": 1000.0 if op.kind == "CONV_2D" else 1.0}
              for op in ops]  # fmt: skip
    row = {"model": "wide", "layers": layers, "whole_us": 4000.0}
    times.write_text(json.dumps({"models": [row]}))
    arguments = ["prune", str(model), "--images", str(images), "-o", str(output),
                 "--layers", str(times), "--lever", "channels", "--latency-ms"]  # fmt: skip
    assert main([*arguments, "2"]) == DONE
    assert "times as fast by board.json (an estimate)" in capsys.readouterr().out
    assert main([*arguments, "5"]) == MISUSED
    assert "takes 4.00 ms already" in capsys.readouterr().err
    for layer in layers:
        layer["output"] += "?"
    times.write_text(json.dumps({"models": [row]}))
    assert main([*arguments, "2"]) == MISUSED
    assert "expected the times of bright's ops, found those of 'wide'" in capsys.readouterr().err
    assert main([*arguments, "2", "--input-size", "16"]) == MISUSED
    assert "without --input-size" in capsys.readouterr().err
    times.write_text("{}")
    assert main([*arguments, "2"]) == MISUSED
    assert "expected the JSON of edge bench --layers" in capsys.readouterr().err


def test_zeros_make_a_smaller_download_and_nothing_faster(wide, capsys):
    model, images, output = wide
    arguments = ["run", str(model), "--compress-zeros", "0.1", "--images", str(images),
                 "--tolerance", "1000", "--no-report", "-o", str(output)]  # fmt: skip
    assert main(arguments) == DONE
    assert "zeros among the weights speed nothing up" in capsys.readouterr().err
    steps = model_file.read_own(output).own_manifest().provenance.steps
    assert "10 % of the weights are zero, for the download: they speed nothing up" in steps


def test_what_a_cut_left_is_trained_without_labels_and_the_manifest_says_so(wide, capsys):
    model, images, output = wide
    arguments = ["prune", str(model), "--macs", "0.25", "--lever", "channels", "--images",
                 str(images), "-o", str(output), "--recover", "0.02"]  # fmt: skip
    assert main(arguments) == DONE
    assert "8 of 32 channels left" in capsys.readouterr().err
    *_, cut, trained = model_file.read_own(output).own_manifest().provenance.steps
    assert "8 of 32 channels left" in cut
    assert "steps of 8 of 30 plain images, seed 0; agreement with the whole model" in trained
    assert {path.name for path in output.parent.iterdir()} == {
        "photos", "wide.tflite", "made.tflite"
    }  # fmt: skip


def test_there_is_nothing_to_recover_where_nothing_is_cut(wide, capsys):
    model, images, output = wide
    arguments = ["prune", str(model), "--images", str(images), "-o", str(output), "--recover"]
    assert main([*arguments, "--input-size", "16"]) == MISUSED
    assert "--recover trains what a cut leaves: give --speedup" in capsys.readouterr().err
    assert main([*arguments, "--lever", "input", "--macs", "0.3"]) == DONE
    said = capsys.readouterr().err
    assert "no channel was cut, and a smaller input alone is not recovered without labels" in said
    assert "--recover-labels trains it by labels" in said
