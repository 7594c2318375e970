"""Imager is offered an image with the fields that its schema asks for.

Held to raspberrypi/rpi-imager, doc/json-schema/os-list-schema.json (what it requires, and of which
type), doc/schema-notes.md (devices) and src/oslistparser.cpp (the first boots that it knows); what
its schema lets pass beside that is refused here.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import re
from urllib.parse import urlsplit

import card_images
import jsonschema
import pytest

from boards.cli import main
from boards.flash.formats import FORMATS

pytestmark = pytest.mark.board

# An entry with another one is left out by Imager, without a word.
INIT_FORMATS = ["", "none", "systemd", "cloudinit", "cloudinit-rpi", "rpi-preseed"]
TEXT = {"type": "string"}
SIZE = {"type": "integer", "minimum": 1}
ENTRY = {
    "type": "object",
    "required": [
        "name", "description", "icon", "url", "extract_size", "extract_sha256",
        "image_download_size", "release_date", "devices",
    ],
    "properties": {
        "name": TEXT, "description": TEXT, "icon": TEXT, "url": TEXT, "website": TEXT,
        "extract_size": SIZE, "image_download_size": SIZE,
        "extract_sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "image_download_sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "release_date": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d$"},
        "init_format": {"enum": INIT_FORMATS},
        "architecture": TEXT,
        "devices": {"type": "array", "minItems": 1, "items": TEXT},
    },
    "additionalProperties": False,
}  # fmt: skip
DEVICE = {
    "type": "object",
    "required": ["name", "tags", "icon", "description", "matching_type"],
    "properties": {
        "name": TEXT, "icon": TEXT, "description": TEXT, "default": {"type": "boolean"},
        "tags": {"type": "array", "minItems": 1, "items": TEXT},
        "matching_type": {"enum": ["exclusive", "inclusive"]},
    },
    "additionalProperties": False,
}  # fmt: skip
IMAGER = {"type": "object", "properties": {"devices": {"type": "array", "items": DEVICE}}}
SCHEMA = {
    "type": "object",
    "required": ["os_list", "imager"],
    "properties": {
        "imager": IMAGER | {"required": ["devices"], "additionalProperties": False},
        "os_list": {"type": "array", "minItems": 1, "items": ENTRY},
    },
    "additionalProperties": False,
}


def manifest(tmp_path, data, *more):
    path, out = tmp_path / "our card.img.xz", tmp_path / "x.rpi-imager-manifest"
    path.write_bytes(lzma.compress(data))
    given = ["--image", str(path), "--out", str(out), *more]
    assert main(["manifest", "pi5", *given]) == 0
    return json.loads(out.read_text())


def test_a_manifest_has_every_field_and_the_digest_of_what_is_unpacked(tmp_path):
    data = card_images.card(card_images.CLOUDINIT_RPI)

    fields = manifest(tmp_path, data)

    jsonschema.validate(fields, SCHEMA)
    entry = fields["os_list"][0]
    # What no device of the list may have is not offered.
    assert set(entry["devices"]) <= set(fields["imager"]["devices"][0]["tags"])
    assert entry["extract_sha256"] == hashlib.sha256(data).hexdigest()
    assert entry["extract_size"] == len(data)
    assert entry["image_download_size"] == (tmp_path / "our card.img.xz").stat().st_size
    assert (entry["init_format"], entry["devices"]) == ("cloudinit-rpi", ["pi5-64bit"])
    url = urlsplit(entry["url"])
    assert (url.scheme, url.path.endswith("/our%20card.img.xz")) == ("file", True)


def test_imager_leaves_the_first_boot_of_an_image_of_ours_alone(tmp_path):
    """What it would write takes the place of our own user-data, which starts the first boot."""
    bundle = card_images.bundle(tmp_path / "bundle")
    (tmp_path / "os.img").write_bytes(card_images.card(card_images.CLOUDINIT_RPI))
    given = ["--image", str(tmp_path / "os.img"), "--to", str(tmp_path / "card.img")]
    assert main(["flash", "--profile", "pi5", "--bundle", str(bundle), *given, "--yes"]) == 0

    fields = manifest(tmp_path, (tmp_path / "card.img").read_bytes(), "--url", "https://x.test/a")

    assert fields["os_list"][0]["init_format"] == "none"
    assert fields["os_list"][0]["url"] == "https://x.test/a"


def test_each_first_boot_is_one_that_imager_knows():
    assert set(FORMATS) <= set(INIT_FORMATS)


def test_a_board_that_imager_does_not_know_is_refused(tmp_path, capsys):
    given = ["--image", str(tmp_path / "x"), "--out", str(tmp_path / "y")]

    assert main(["manifest", "agx-orin", *given]) == 2

    assert re.search(r"expected a board of pi3, .*, found agx-orin", capsys.readouterr().err)
