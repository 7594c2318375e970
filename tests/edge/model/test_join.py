"""A manifest and the tensors of its model either agree or are refused, both sides named."""

from __future__ import annotations

import factories
import pytest

from edge.decode.ssd import SsdHead
from edge.errors import ModelError
from edge.model.loaded import join

pytestmark = pytest.mark.board

COUNT, LABELS = factories.ANCHOR_COUNT, len(factories.LABELS)
WIDTH, HEIGHT = factories.INPUT_WH
INPUT = factories.tensor("image", (1, HEIGHT, WIDTH, 3))
BOXES = factories.tensor("raw_boxes", (1, COUNT, 4), index=7)
SCORES = factories.tensor("raw_scores", (1, COUNT, LABELS + 1), index=3)


def test_outputs_are_addressed_by_role_in_whatever_order_the_model_gives_them():
    for outputs in ([BOXES, SCORES], [SCORES, BOXES]):
        spec = join(factories.model_file(), [INPUT], outputs)

        assert spec.outputs == {"boxes": BOXES, "scores": SCORES}
        assert spec.input is INPUT


def test_an_output_that_no_role_names_is_left_alone():
    extra = factories.tensor("features", (1, 5))

    assert set(join(factories.model_file(), [INPUT], [extra, BOXES, SCORES]).outputs) == {
        "boxes",
        "scores",
    }


def test_without_a_background_column_the_scores_have_as_many_columns_as_labels():
    file = factories.model_file(manifest=factories.manifest(head=SsdHead(background=False)))
    scores = factories.tensor("raw_scores", (1, COUNT, LABELS))

    assert join(file, [INPUT], [BOXES, scores]).outputs["scores"] is scores


@pytest.mark.parametrize(
    "inputs",
    [
        pytest.param([], id="none"),
        pytest.param([INPUT, INPUT], id="two"),
        pytest.param([factories.tensor("image", (1, WIDTH, HEIGHT, 3))], id="sides swapped"),
        pytest.param([factories.tensor("image", (2, HEIGHT, WIDTH, 3))], id="batch of two"),
    ],
)
def test_another_input_than_the_manifests_is_refused(inputs):
    with pytest.raises(ModelError, match=r"input is .*, but the description says \(1, 12, 20, 3\)"):
        join(factories.model_file(), inputs, [BOXES, SCORES])


def test_an_output_that_the_model_does_not_have_is_named_beside_those_it_has():
    with pytest.raises(ModelError, match="names output 'raw_scores', the model has 'raw_boxes'"):
        join(factories.model_file(), [INPUT], [BOXES])


@pytest.mark.parametrize(
    ("outputs", "found"),
    [
        pytest.param({}, "none", id="none"),
        pytest.param({"boxes": "raw_boxes"}, "boxes", id="one missing"),
        pytest.param({"boxes": "raw_boxes", "logits": "raw_scores"}, "boxes, logits", id="other"),
    ],
)
def test_roles_that_are_not_an_ssd_heads_are_refused(outputs, found):
    file = factories.model_file(manifest=factories.manifest(outputs=outputs))

    with pytest.raises(ModelError, match=f"roles boxes and scores, the description names {found}"):
        join(file, [INPUT], [BOXES, SCORES])


@pytest.mark.parametrize(
    ("labels", "background", "expected"),
    [
        pytest.param(
            ("a", "b"), True, r"2 labels.* 4 columns, expected 3 \(labels and back", id="few"
        ),
        pytest.param(("a",) * 4, True, r"4 labels.* 4 columns, expected 5", id="many"),
        pytest.param(
            ("a",) * 3, False, r"3 labels.* 4 columns, expected 3 \(labels\)", id="no column"
        ),
    ],
)
def test_labels_that_do_not_fit_the_scores_are_counted_on_both_sides(labels, background, expected):
    changed = factories.manifest(labels=labels, head=SsdHead(background=background))

    with pytest.raises(ModelError, match=expected):
        join(factories.model_file(manifest=changed), [INPUT], [BOXES, SCORES])


@pytest.mark.parametrize(
    "anchors",
    [
        pytest.param(None, id="none"),
        pytest.param(factories.anchors(COUNT - 1), id="one short"),
        pytest.param(factories.anchors(COUNT + 1), id="one over"),
    ],
)
def test_anchors_that_do_not_fit_the_boxes_are_refused(anchors):
    with pytest.raises(ModelError, match=r"output boxes is \(1, 6, 4\), but the head .* need"):
        join(factories.model_file(anchors=anchors), [INPUT], [BOXES, SCORES])


def test_scores_of_other_anchors_than_the_boxes_are_refused():
    scores = factories.tensor("raw_scores", (1, COUNT + 1, LABELS + 1))

    with pytest.raises(ModelError, match=r"output scores is \(1, 7, 4\), but .* need \(1, 6, 4\)"):
        join(factories.model_file(), [INPUT], [BOXES, scores])


def test_scores_without_axes_are_refused():
    with pytest.raises(ModelError, match=r"output scores is \(\), but"):
        join(
            factories.model_file(),
            [INPUT],
            [BOXES, factories.tensor("raw_scores", ())],
        )
