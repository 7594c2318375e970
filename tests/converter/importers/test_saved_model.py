"""A SavedModel is disarmed before TensorFlow loads it."""

from __future__ import annotations

import pytest
from damaged_files import faults

from converter.choice import Choice
from converter.graphdef_schema import message_class
from converter.importers import saved_model
from converter.importing import import_draft
from edge.errors import ModelError

pytestmark = pytest.mark.converter


def test_a_saved_models_own_savers_are_made_to_do_nothing(models):
    path = models / "saved" / saved_model.SAVED_MODEL
    model = message_class("SavedModel")()

    model.ParseFromString(saved_model.disarmed_saved_model(path))

    ops = {
        node.op
        for meta in model.meta_graphs
        for nodes in (meta.graph_def.node, *(f.node_def for f in meta.graph_def.library.function))
        for node in nodes
    }
    assert b"SaveV2" in path.read_bytes()
    assert not ops & set(saved_model.SAVERS)


def test_a_saved_model_with_an_unsafe_op_is_refused(models, tmp_path):
    model = message_class("SavedModel")()
    model.ParseFromString((models / "saved" / saved_model.SAVED_MODEL).read_bytes())
    model.meta_graphs[0].graph_def.node.add(name="evil", op="WriteFile")
    (tmp_path / saved_model.SAVED_MODEL).write_bytes(model.SerializeToString())

    with pytest.raises(ModelError, match=r"WriteFile \(evil\)"):
        import_draft(tmp_path, family="unet", choice=Choice())


def test_damaged_saved_models_are_one_sentence_each(models, tmp_path):
    data = (models / "saved" / saved_model.SAVED_MODEL).read_bytes()

    found = faults(saved_model.disarmed_saved_model, data, tmp_path / saved_model.SAVED_MODEL)

    assert len(found) > 100
    assert not [text for text in found if "\n" in text]
