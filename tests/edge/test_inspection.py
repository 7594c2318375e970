import pytest

from edge import inspection, manifest
from edge.interpreter import Interpreter
from edge.models import default_model_path

pytestmark = pytest.mark.board


@pytest.fixture(scope="module")
def facts():
    file = manifest.read(default_model_path())
    return inspection.describe(file, Interpreter(file).spec)


def test_each_tensor_is_described_with_its_role_and_scale(facts):
    roles = [tensor["role"] for tensor in facts["tensors"]]
    assert sorted(roles) == ["boxes", "input", "scores"]
    for tensor in facts["tensors"]:
        assert tensor["dtype"] == "int8"
        assert tensor["scale"] > 0


def test_the_facts_hold_the_whole_manifest(facts):
    read_back = {key: facts[key] for key in manifest.Manifest.model_fields}
    assert manifest.Manifest.model_validate(read_back).digest.startswith("sha256:")


def test_the_text_names_accuracy_with_its_interval_and_images(facts):
    text = inspection.render(facts)
    row = facts["accuracy"][0]
    assert row["metric"] in text
    assert "95 % interval" in text
    assert f"{row['images']} images" in text


def test_a_model_without_calibration_or_accuracy_is_shown_all_the_same(facts):
    bare = facts | {"calibration": None, "accuracy": []}
    text = inspection.render(bare)
    assert "calibrated" not in text
    assert "accuracy" not in text
