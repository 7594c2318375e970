"""Recovery without labels: a model with damaged weights learns again from the whole one."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
from reference import bright_net

from converter import export
from converter.graph.edits import with_values
from converter.graph.reading import read
from converter.graph.writing import write
from converter.train import lesson
from converter.train import recover as module
from converter.train.recover import recover
from edge.errors import ModelError, SourceError

pytestmark = pytest.mark.converter
STEPS = 24


def damaged(file):
    """Return the model whose stem sees a third of the light: no square is bright enough."""
    graph = read(file.flatbuffer, file.path)
    name = graph.ops[0].inputs[1]
    made = with_values(graph, {name: np.asarray(graph.value(name)) * np.float32(0.3)})
    return export.remade(file, write(made), "damaged", tools={})


@pytest.fixture
def whole(monkeypatch):
    monkeypatch.setattr(module, "LEARNING_RATE", 2e-2)
    return bright_net.model_file()


@pytest.fixture
def images(tmp_path):
    paths = bright_net.write_images(tmp_path, 40)
    return paths[:28], paths[28:]


def run(whole, images, **given):
    return recover(
        whole, damaged(whole), images[0], **{"select": images[1], "steps": STEPS, **given}
    )


def test_a_damaged_model_sees_more_of_what_the_whole_one_sees(whole, images):
    done = run(whole, images)
    assert done.before < done.after
    assert f"{done.fitted.steps} steps of 8 of 28 plain images" in done.step
    assert done.file.own_manifest().provenance.steps[-1] == done.step
    assert done.file.flatbuffer != damaged(whole).flatbuffer


def test_a_model_that_cannot_be_better_stays_and_that_is_said(whole, images):
    done = recover(whole, whole, images[0], select=images[1], steps=2)
    assert done.file.flatbuffer == whole.flatbuffer
    assert done.step.startswith("distillation gained nothing and is left out")


@pytest.mark.slow
def test_a_run_that_was_interrupted_goes_on_to_the_same_weights(
    whole, images, tmp_path, monkeypatch
):
    straight = run(whole, images)
    drawn = lesson.Lesson.batch

    def interrupting(self, step):
        if step == STEPS // 2:
            os.kill(os.getpid(), signal.SIGINT)
        return drawn(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(lesson.Lesson, "batch", interrupting)
        with pytest.raises(KeyboardInterrupt):
            run(whole, images, folder=tmp_path / "kept")
    resumed = run(whole, images, folder=tmp_path / "kept", resume=True, steps=None)
    assert resumed.file.flatbuffer == straight.file.flatbuffer


@pytest.mark.parametrize(
    ("count", "sentence"),
    [(15, "expected 16 images or more to train on, found 15")],
)
def test_too_few_images_are_refused_before_the_work(whole, images, count, sentence):
    with pytest.raises(SourceError, match=sentence):
        recover(whole, whole, images[0][:count], select=images[1], steps=1)


def test_images_that_show_nothing_cannot_say_when_to_stop(whole, images):
    blank = [path for number, path in enumerate(images[1], start=28) if number % 6 == 0]
    with pytest.raises(SourceError, match="expected images that show something to the float model"):
        recover(whole, whole, images[0], select=blank, steps=1)


def test_a_teacher_of_another_input_size_is_refused(whole, images):
    other = whole.own_manifest()
    small = export.sealed(whole, other.replace(input=other.input.replace(size_wh=(16, 16))))
    with pytest.raises(ModelError, match=r"expected an input of \(32, 32\)"):
        recover(whole, small, images[0], select=images[1], steps=1)
