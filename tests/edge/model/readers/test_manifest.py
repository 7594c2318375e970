"""The self-describing model file: what is appended comes back, and nothing damaged gets through."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from typing import TYPE_CHECKING, Any

import factories
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ModelError
from edge.model import model_file, structure
from edge.model.readers import manifest as mf

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.board

WHOLE = mf.append(factories.FLATBUFFER, factories.manifest(), factories.anchors())
CENTRAL_DIRECTORY = WHOLE.index(b"PK\x01\x02")
END_RECORD = WHOLE.index(b"PK\x05\x06")


@pytest.fixture
def read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[bytes], model_file.ModelFile]:
    """Return `edge.model.model_file.read` of bytes."""
    path = tmp_path / "model.tflite"
    # These bytes are no model, which tests of their own are about.
    monkeypatch.setattr(structure, "check", lambda *_: None)

    def read_bytes(data: bytes) -> model_file.ModelFile:
        path.write_bytes(data)
        return model_file.read(path)

    return read_bytes


def with_members(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    out.write(factories.FLATBUFFER)
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def with_fields(**changes: Any) -> bytes:
    """Return a model file whose manifest has these JSON fields, with the right digest."""
    sealed = factories.manifest(digest=mf.digest_of(factories.FLATBUFFER))
    fields = sealed.plain() | changes
    return with_members({mf.MANIFEST_MEMBER: json.dumps(fields).encode()})


def with_anchors(data: bytes) -> bytes:
    sealed = factories.manifest(digest=mf.digest_of(factories.FLATBUFFER))
    text = json.dumps(sealed.plain()).encode()
    return with_members({mf.MANIFEST_MEMBER: text, mf.ANCHORS_MEMBER: data})


def test_what_was_appended_is_read_back(read):
    file = read(WHOLE)

    assert file.flatbuffer == factories.FLATBUFFER
    np.testing.assert_array_equal(file.description.anchors, factories.anchors())
    sealed = {"digest": mf.digest_of(factories.FLATBUFFER)}
    assert file.manifest == factories.manifest().replace(**sealed)


def test_a_model_without_anchors_has_none(read):
    assert (
        read(mf.append(factories.FLATBUFFER, factories.manifest(), None)).description.anchors
        is None
    )


def test_the_same_model_gives_the_same_bytes():
    assert mf.append(factories.FLATBUFFER, factories.manifest(), factories.anchors()) == WHOLE


def test_the_flatbuffer_stands_first_so_that_the_runtime_sees_an_ordinary_model():
    assert WHOLE.startswith(factories.FLATBUFFER)


@pytest.mark.parametrize(
    "length",
    [
        pytest.param(0, id="empty"),
        pytest.param(3, id="before the identifier"),
        pytest.param(8, id="after the identifier"),
        pytest.param(len(factories.FLATBUFFER) // 2, id="inside the model"),
        pytest.param(len(factories.FLATBUFFER), id="between model and zip"),
        pytest.param(len(factories.FLATBUFFER) + 40, id="inside the manifest"),
        pytest.param(CENTRAL_DIRECTORY - 10, id="inside the anchors"),
        pytest.param(CENTRAL_DIRECTORY + 10, id="inside the zip's directory"),
        pytest.param(END_RECORD, id="before the end record"),
        pytest.param(len(WHOLE) - 1, id="last byte"),
    ],
)
def test_a_truncated_file_is_refused(read, length):
    with pytest.raises(ModelError, match=r"model\.tflite: (expected|an offset|a table)"):
        read(WHOLE[:length])


def test_a_file_truncated_anywhere_is_refused(read):
    for length in range(len(WHOLE)):
        with pytest.raises(ModelError):
            read(WHOLE[:length])


@pytest.mark.parametrize("bit", [0, 7])
def test_a_flipped_bit_of_the_model_is_always_refused(read, bit):
    for position in range(len(factories.FLATBUFFER)):
        damaged = bytearray(WHOLE)
        damaged[position] ^= 1 << bit
        with pytest.raises(ModelError, match=r"damaged|expected a TensorFlow Lite or ONNX model"):
            read(bytes(damaged))


def test_a_flipped_bit_of_the_zip_is_refused_or_changes_nothing(read):
    whole = read(WHOLE)
    unchanged = 0
    for position in range(len(factories.FLATBUFFER), len(WHOLE)):
        for bit in range(8):
            damaged = bytearray(WHOLE)
            damaged[position] ^= 1 << bit
            try:
                file = read(bytes(damaged))
            except ModelError:
                continue
            unchanged += 1
            assert file.flatbuffer == whole.flatbuffer
            assert file.manifest == whole.manifest
            np.testing.assert_array_equal(file.description.anchors, whole.description.anchors)
    # Dates, attributes and versions of the zip's headers: read by nobody.
    assert unchanged < 0.3 * 8 * (len(WHOLE) - len(factories.FLATBUFFER))


@given(data=st.binary(max_size=300))
def test_random_bytes_behind_a_model_give_one_sentence(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "random.tflite"
    path.write_bytes(factories.FLATBUFFER + data)

    with pytest.raises(ModelError):
        model_file.read(path)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        pytest.param(b"", "an empty file", id="empty"),
        pytest.param(b"PK\x03\x04rest of it", "a zip archive", id="zip"),
        pytest.param(b"\x89HDF\r\n\x1a\n", "an HDF5", id="keras"),
        pytest.param(b"\xff\xd8\xff\xe0 photo", "begin with", id="jpeg"),
    ],
)
def test_a_foreign_file_is_named_for_what_it_is(read, data, found):
    with pytest.raises(
        ModelError, match=f"expected a TensorFlow Lite or ONNX model, found .*{found}"
    ):
        read(data)


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(ModelError, match="no such file; give the path"):
        model_file.read(tmp_path / "gone.tflite")


def test_a_folder_is_no_model(tmp_path):
    with pytest.raises(ModelError, match="cannot be read: Is a directory"):
        model_file.read(tmp_path)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(read):
    bomb = with_members({mf.MANIFEST_MEMBER: bytes(mf.MAX_MEMBERS_BYTES + 1)})
    assert len(bomb) < mf.MAX_MEMBERS_BYTES / 100

    with pytest.raises(ModelError, match="unpacks to over 16777216 bytes"):
        read(bomb)


def test_a_bomb_that_lies_about_its_size_is_refused(read):
    bomb = bytearray(with_members({mf.MANIFEST_MEMBER: bytes(mf.MAX_MEMBERS_BYTES + 1)}))
    # The unpacked size stands 24 bytes behind the signature of its row (APPNOTE.TXT 4.3.12).
    struct.pack_into("<L", bomb, bomb.rindex(b"PK\x01\x02") + 24, 100)

    with pytest.raises(ModelError):
        read(bytes(bomb))


@pytest.mark.parametrize("version", [0, 3, "1", None])
def test_another_schema_version_is_named(read, version):
    with pytest.raises(ModelError, match=f"has schema version {version}, this edge-vision reads 1"):
        read(with_fields(schema_version=version))


def test_a_manifest_of_the_first_version_is_one_of_the_current(read):
    file = read(with_fields(schema_version=1))

    assert file.own_manifest() == read(with_fields()).own_manifest()
    assert file.own_manifest().schema_version == mf.SCHEMA_VERSION


def test_facts_that_a_newer_converter_adds_are_passed_over(read):
    facts = factories.manifest().provenance.plain()

    file = read(with_fields(pruning={"kept": 0.7}, provenance=facts | {"teacher": "a larger one"}))

    assert file.own_manifest() == read(with_fields()).own_manifest()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="no end"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"\xff\xfe", id="not UTF-8"),
        pytest.param(b"[" * 200_000, id="nested too deep"),
    ],
)
def test_a_manifest_that_is_no_json_object_is_refused(read, text):
    with pytest.raises(ModelError):
        read(with_members({mf.MANIFEST_MEMBER: text}))


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        pytest.param(
            {"colour": 1, "schema_version": 1}, "unknown key 'colour'", id="unknown key of old"
        ),
        pytest.param({"labels": None}, "labels: ", id="no labels"),
        pytest.param(
            {"name": "half \ud800"}, r"name: expected text, found 'half \\ud800'", id="no text"
        ),
        pytest.param({"score_threshold": 1.5}, "score_threshold: ", id="ratio over 1"),
        pytest.param({"head": {"kind": "ssd", "box_scales": [1, 2]}}, "head.box_scales", id="head"),
    ],
)
def test_a_wrong_field_is_named_with_its_path(read, changes, fault):
    with pytest.raises(ModelError, match=f"its manifest is wrong: .*{fault}"):
        read(with_fields(**changes))


def test_a_normalisation_that_is_not_a_number_is_refused(read):
    transform = factories.input_transform().plain() | {"mean": [float("nan")] * 3}

    with pytest.raises(ModelError, match=r"input\.mean"):
        read(with_fields(input=transform))


@given(data=st.binary(max_size=200), header=st.binary(max_size=60))
def test_random_anchors_give_one_sentence(tmp_path_factory, data, header):
    path = tmp_path_factory.getbasetemp() / "random_anchors.tflite"
    length = struct.pack("<H", len(header))
    for anchors in (data, b"\x93NUMPY\x01\x00" + length + header + data):
        path.write_bytes(with_anchors(anchors))
        with pytest.raises(ModelError):
            model_file.read(path)
