"""Keras files that would run code are refused by what their configuration names, unexecuted."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from damaged_files import faults

from converter.importers.tensorflow.keras_config import check_config, check_keras_archive
from edge.errors import ModelError

pytestmark = pytest.mark.board
PATH = Path("model.keras")


def config(**layer):
    fields = {"module": "keras.layers", "class_name": "Conv2D", "config": {"name": "odd"}, **layer}
    return {"module": "keras", "class_name": "Functional", "config": {"layers": [fields]}}


def archive(folder, members):
    path = folder / "model.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in members.items():
            out.writestr(name, data)
    return path


SOUND = {"metadata.json": "{}", "config.json": json.dumps(config()), "model.weights.h5": b"\x89HDF"}


def test_a_sound_archive_passes(tmp_path):
    check_keras_archive(archive(tmp_path, SOUND))


UNSAFE = {
    "lambda": ({"class_name": "Lambda"}, "Lambda, which runs code"),
    "another saved model": ({"class_name": "TFSMLayer"}, "TFSMLayer, which runs code"),
    "a torch pickle": ({"class_name": "TorchModuleWrapper"}, "TorchModuleWrapper"),
    "a function of a module": (
        {"config": {"activation": {"class_name": "function", "module": "os", "config": "system"}}},
        "of os, a custom object",
    ),
    "a registered class": ({"registered_name": "mine>Swish"}, "mine>Swish"),
    "a marshalled lambda": (
        {"config": {"fn": {"class_name": "__lambda__", "config": {"value": "4wAA"}}}},
        "__lambda__",
    ),
}


@pytest.mark.parametrize(("layer", "words"), UNSAFE.values(), ids=UNSAFE.keys())
def test_what_runs_code_is_refused_by_name(layer, words):
    with pytest.raises(ModelError, match=words) as caught:
        check_config(json.dumps(config(**layer)), PATH)
    assert "\n" not in str(caught.value)


FOREIGN = {
    "no weights": ({**SOUND, "model.weights.h5": None}, "no model.weights.h5"),
    "a pickle beside them": ({**SOUND, "data.pkl": b"x"}, "data.pkl"),
    "a way out": ({**SOUND, "assets/../../x": b"x"}, "found"),
    "no JSON": ({**SOUND, "config.json": "{"}, "text that is damaged"),
    "deep JSON": ({**SOUND, "config.json": "[" * 100_000}, "text that is damaged"),
    "other JSON": ({**SOUND, "config.json": "[1]"}, "other JSON"),
    "a bomb": ({**SOUND, "config.json": b" " * (17 * 2**20)}, "unpacks to over"),
}


@pytest.mark.parametrize(("members", "words"), FOREIGN.values(), ids=FOREIGN.keys())
def test_an_archive_that_is_none_is_refused(tmp_path, members, words):
    kept = {name: data for name, data in members.items() if data is not None}

    with pytest.raises(ModelError, match=words):
        check_keras_archive(archive(tmp_path, kept))


def test_damaged_archives_are_one_sentence_each(tmp_path):
    data = archive(tmp_path, SOUND).read_bytes()

    found = faults(check_keras_archive, data, tmp_path / "damaged.keras")

    assert len(found) > 100
    assert not [text for text in found if "\n" in text]
