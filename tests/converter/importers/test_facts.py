"""What a foreign file does not say is asked for by option, all at once; nothing is guessed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tflite_files import grid

from converter.choice import InputChoice, Origin
from converter.draft import Draft
from converter.graph.edits import renamed
from converter.graph.reading import read
from converter.importers.facts import class_count, complete, missing_facts, restate
from edge.decode.anomaly import AnomalyHead
from edge.decode.classes import ClassesHead
from edge.decode.segmentation import SegmentationHead
from edge.decode.yolo import YoloGrid, YoloHead
from edge.errors import ConfigError, ModelError
from edge.model.description import InputTransform
from edge.model.loaded import join
from edge.model.model_file import ModelFile

pytestmark = pytest.mark.converter
PATH = Path("model.h5")
WHOLE = InputChoice(color="bgr", mean=(0.0,) * 3, std=(1.0,) * 3, resize="stretch")
SAYS = InputTransform(
    size_wh=(4, 4), color="rgb", mean=(127.5,) * 3, std=(127.5,) * 3, resize="letterbox", padding=7
)


def graph(role, **options):
    return renamed(read(grid(**options), PATH), {"output": role})


def draft(**changes):
    """Return the draft of a segmenter with three classes."""
    whole = Draft(
        graph=graph("classes"),
        head=SegmentationHead(activation="softmax"),
        labels=("nothing", "cat", "dog"),
    )
    return replace(whole, **changes)


def completed(made, choice=WHOLE, *, family="unet", labels=None):
    origin = Origin(name="m", source="here", labels=labels)
    return complete(made, PATH, family=family, origin=origin, choice=choice)


def test_everything_that_is_missing_is_asked_for_at_once_by_option():
    with pytest.raises(ConfigError) as caught:
        completed(draft(labels=None), InputChoice())

    text = str(caught.value)
    for option in ("--input rgb", "--range 0..1", "--mean", "--std", "--resize", "--labels FILE"):
        assert option in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("field", "option"),
    [("color", "--input"), ("mean", "--range"), ("resize", "--resize")],
)
def test_one_thing_that_is_missing_is_asked_for_alone(field, option):
    changes = {field: None, "std": None} if field == "mean" else {field: None}

    with pytest.raises(ConfigError, match=option) as caught:
        completed(draft(), replace(WHOLE, **changes))
    assert str(caught.value).count(";") == 0


def test_what_the_file_says_needs_no_option(caplog):
    file = completed(draft(transform=SAYS), InputChoice())

    assert file.description.input == SAYS
    assert not caplog.records


def test_what_file_and_person_say_in_parts_is_joined():
    stated = InputChoice(mean=(1.0, 2.0, 3.0), std=(4.0,) * 3)
    choice = InputChoice(color="rgb", resize="stretch")

    found = completed(draft(transform=stated), choice).description.input

    assert (found.color, found.mean, found.resize) == ("rgb", (1, 2, 3), "stretch")


def test_the_person_wins_over_the_file_with_a_warning_for_each(caplog):
    file = completed(draft(transform=SAYS))

    assert (file.description.input.color, file.description.input.mean) == ("bgr", (0, 0, 0))
    assert file.description.input.padding == SAYS.padding
    assert [record.args[1].split(",")[0] for record in caplog.records] == [
        "the file says color rgb",
        "the file says mean 127.5",
        "the file says std 127.5",
        "the file says resize letterbox",
    ]


OWN = InputChoice(mean=(1.0, 2.0, 3.0), std=(4.0,) * 3, swapped=True)


@pytest.mark.parametrize(("said", "left"), [("rgb", "bgr"), ("bgr", "rgb"), (None, "bgr")])
def test_what_is_said_of_the_files_own_input_holds_before_its_swap_of_channels(said, left, caplog):
    choice = replace(WHOLE, color=said)

    found = completed(draft(transform=OWN), choice).description.input

    # Pixel values 0..255, as WHOLE says, are what a file's own normalisation starts from.
    assert (found.color, found.mean, found.std) == (left, OWN.mean, OWN.std)
    assert not caplog.records


def test_another_range_than_the_file_normalises_itself_is_said_to_contradict_it(caplog):
    choice = replace(WHOLE, std=(255.0,) * 3)

    completed(draft(transform=OWN), choice)

    assert "the file says mean 1, 2, 3, you say 0" in caplog.text


def test_what_is_said_of_each_channel_follows_the_swap():
    choice = replace(WHOLE, color="rgb", mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0))

    found = completed(draft(transform=InputChoice(swapped=True)), choice).description.input

    assert (found.color, found.mean, found.std) == ("bgr", (3, 2, 1), (6, 5, 4))


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_statistics_of_an_image_in_0_to_1_join_with_the_range_that_is_said(caplog):
    transform = InputChoice(after=IMAGENET)
    choice = replace(WHOLE, mean=(0.0,) * 3, std=(255.0,) * 3)

    found = completed(draft(transform=transform), choice).description.input

    assert found.mean == pytest.approx([255 * number for number in IMAGENET[0]])
    assert found.std == pytest.approx([255 * number for number in IMAGENET[1]])
    assert not caplog.records
    with pytest.raises(ConfigError, match="--range"):
        completed(draft(transform=transform), InputChoice(color="rgb", resize="stretch"))


def test_a_model_of_one_channel_is_grey():
    grey = draft(graph=graph("classes", channels=1), labels=("nothing", "something"))

    assert completed(grey, replace(WHOLE, color=None)).description.input.color == "grey"
    with pytest.raises(ConfigError, match="leave out --input bgr"):
        completed(grey)


def test_another_family_is_named():
    with pytest.raises(ConfigError, match=r"family ssd, found one of family unet.*--family unet"):
        completed(draft(), family="ssd")


def test_the_persons_labels_win_and_must_fit():
    assert completed(draft(), labels=("a", "b", "c")).description.labels == ("a", "b", "c")
    with pytest.raises(ConfigError, match="expected 3 labels, one for each class, found 2"):
        completed(draft(), labels=("a", "b"))


def test_labels_with_ids_from_1_on_fit_a_head_that_counts_from_0():
    assert completed(draft(), labels=("", "a", "b", "c")).description.labels == ("a", "b", "c")


def ours(**changes):
    file = completed(draft())
    return ModelFile.of(PATH, file.flatbuffer, file.own_manifest().replace(**changes))


def restated(file, choice=InputChoice(), *, family=None, **origin):  # noqa: B008 - frozen
    return restate(file, family=family, origin=Origin(**origin), choice=choice).own_manifest()


def test_a_model_of_ours_stays_as_it_is_where_nothing_is_said():
    assert restated(ours()) == ours().own_manifest()


def test_what_is_said_of_a_model_of_ours_is_done(caplog):
    said = InputChoice(color="rgb", mean=(1.0,) * 3, std=(2.0,) * 3)

    found = restated(ours(), said, name="n", source="there", license="MIT", labels=("a", "b", "c"))

    assert (found.input.color, found.input.mean, found.input.resize) == ("rgb", (1,) * 3, "stretch")
    assert (found.name, found.labels) == ("n", ("a", "b", "c"))
    assert (found.provenance.source, found.provenance.license) == ("there", "MIT")
    assert len(caplog.records) == 3, "each contradiction is said"


def test_what_cannot_be_done_to_a_model_of_ours_is_refused():
    with pytest.raises(ConfigError, match="type: --family unet"):
        restated(ours(), family="ssd")
    with pytest.raises(ConfigError, match="expected 3 labels"):
        restated(ours(), labels=("a",))


def test_two_roles_of_a_model_of_ours_may_be_of_one_tensor():
    one = YoloGrid(boxes="boxes", objectness="objectness", scores="scores", anchors_px=((1, 1),))
    outputs = dict.fromkeys(["boxes", "objectness", "scores"], "classes")

    file = restated(ours(head=YoloHead(grids=(one,)), outputs=outputs), labels=("a", "b", "c"))

    assert (file.labels, file.outputs) == (("a", "b", "c"), outputs)


def test_a_model_of_ours_of_another_family_is_named_by_its_own():
    with pytest.raises(ConfigError, match="found one of family classifier"):
        restated(
            ours(head=ClassesHead(activation="none"), outputs={"scores": "classes"}), family="unet"
        )


def test_a_classifier_of_80_classes_is_not_taken_for_cocos():
    made = draft(head=ClassesHead(activation="softmax"), graph=graph("scores", channels=80))

    assert missing_facts(replace(made, labels=None), WHOLE) == ["labels"]


def test_an_autoencoder_that_swaps_the_colours_of_its_input_only_is_refused():
    made = draft(
        head=AnomalyHead(threshold=1.0), graph=graph("reconstruction"), labels=None,
        transform=InputChoice(swapped=True),
    )  # fmt: skip

    with pytest.raises(ModelError, match="swaps its input's only"):
        completed(made, family="autoencoder")


def test_an_autoencoder_has_no_labels_and_takes_none():
    made = draft(head=AnomalyHead(threshold=1.0), graph=graph("reconstruction"), labels=("a",))

    assert completed(made, family="autoencoder").description.labels == ()
    with pytest.raises(ConfigError, match="has no labels; leave out --labels"):
        completed(made, family="autoencoder", labels=("a", "b"))


@pytest.mark.parametrize("anchors", [1, 3])
def test_a_grid_has_the_classes_of_one_anchor(anchors):
    sides = ((1, 1),) * anchors
    one = YoloGrid(boxes="boxes", objectness="boxes", scores="scores", anchors_px=sides)
    made = draft(head=YoloHead(grids=(one,)), graph=graph("scores"))

    # The output has 3 channels, anchor by anchor.
    assert class_count(made) == 3 // anchors


def test_the_completed_file_passes_the_runtimes_own_check():
    file = completed(draft())

    assert file.description.digest.startswith("sha256:")
    assert file.manifest.provenance.recipe == "float32"
    with pytest.raises(ValueError, match="input is"):
        join(file, [], [])


def test_a_name_that_is_no_text_is_written_as_far_as_it_is():
    # What Python makes of a byte that is no UTF-8 in the name of a file, or on the command line.
    origin = Origin(name="caf\udce9", source="caf\udce9.h5", labels=("\ud800", *"bc"))

    made = complete(draft(), PATH, family="unet", origin=origin, choice=WHOLE).manifest

    assert (made.name, made.provenance.source, made.labels[0]) == ("caf?", "caf?.h5", "?")
