"""A tiny detector of bright squares, converted and reported once for all tests."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
from reference import bright_net

from calibration.dataset import image_set
from calibration.image_sets import ImageSets
from converter.conversion import Images, convert
from converter.deliver.report.build import build
from converter.judge.gate import REFUSED, Budget, Verdict
from converter.quantize.recipe import load_recipe
from converter.search.sensitivity import LayerError
from edge.model.model_file import ModelFile

# What a person may have put into a file of labels, or a stranger into a model's name.
HOSTILE = "<script>alert('1')</script>\"&amp;\x00|](javascript:x) `#` \ud800"
LAYERS = (
    LayerError("stem", "CONV_2D", 31.5, 0.25),
    LayerError(f"{HOSTILE};fused", "CONV_2D", 12.0, 0.75),
)


@pytest.fixture(scope="session")
def bright_images(tmp_path_factory):
    """Return the paths of twelve images, the first without a square."""
    return bright_net.write_images(tmp_path_factory.mktemp("bright"), 12)


@pytest.fixture(scope="session")
def subject(bright_images):
    """Return the conversion of the tiny detector."""
    parts = [
        image_set(bright_images[0].parent, paths, seed=0)
        for paths in (bright_images[:5], bright_images[5:7], bright_images[7:])
    ]
    images = Images(ImageSets(*parts), annotations=None, dataset="bright squares")
    return convert(bright_net.model_file(), images, load_recipe("int8"), budget=Budget())


@pytest.fixture(scope="session")
def report(subject):
    """Return the report of a model with a hostile name and hostile labels."""

    def disguised(file):
        changes = {"name": HOSTILE, "labels": (HOSTILE, "never")}
        return ModelFile.of(
            file.path,
            file.flatbuffer,
            file.own_manifest().replace(**changes),
            anchors=file.description.anchors,
        )

    hostile = replace(
        subject,
        reference=disguised(subject.reference),
        quantized=disguised(subject.quantized),
        verdict=Verdict(REFUSED, (f"a fault of {HOSTILE}",)),
    )
    built = build(hostile)
    return replace(built, fields={**built.fields, "layers": [asdict(layer) for layer in LAYERS]})
