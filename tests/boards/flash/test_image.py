"""What is no image of an operating system is refused before anything is written."""

from __future__ import annotations

import lzma
import struct

import card_images
import pytest

from boards.flash import image
from edge.errors import BoardError

pytestmark = pytest.mark.board

SOUND = card_images.card(card_images.SYSTEMD)


def opened(tmp_path, data, name="os.img"):
    path = tmp_path / name
    path.write_bytes(data)
    return image.open_image(path)


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(lzma.compress(SOUND), id="one stream"),
        pytest.param(
            lzma.compress(SOUND[: 1 << 20]) + lzma.compress(SOUND[1 << 20 :]), id="two streams"
        ),
    ],
)
def test_an_xz_says_its_size_and_gives_the_image(tmp_path, packed):
    source = opened(tmp_path, packed)

    assert source.size == len(SOUND)
    assert b"".join(source.chunks()) == SOUND
    found = image.layout(source)
    assert found.boot == card_images.START
    with source.head(image.head_bytes(found)) as head:
        head.seek(510)
        assert head.read(2) == b"\x55\xaa"


@pytest.mark.parametrize("cut", [1, 12, 100, 400])
def test_a_truncated_xz_is_found_at_once(tmp_path, cut):
    with pytest.raises(BoardError, match="truncated or damaged"):
        opened(tmp_path, lzma.compress(SOUND)[:-cut])


def test_a_damaged_xz_is_one_sentence(tmp_path):
    packed = bytearray(lzma.compress(SOUND))
    packed[200:240] = bytes(40)

    with pytest.raises(BoardError, match=r"the \.xz is damaged"):
        list(opened(tmp_path, bytes(packed)).chunks())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(b"PK\x03\x04" + bytes(600), r"found a \.zip", id="zip"),
        pytest.param(b"\x1f\x8b" + bytes(600), r"found a \.gz", id="gz"),
        pytest.param(b"hello", "no partition table", id="text"),
        pytest.param(bytes(4096), "no partition table", id="zeros"),
        pytest.param(SOUND[: 4 << 20], "truncated", id="truncated"),
        pytest.param(card_images.card({}, kind=0xEE), "found a GPT", id="GPT"),
        pytest.param(
            card_images.card({}, kind=0x83),
            "FAT boot partition, found none",
            id="no boot partition",
        ),
    ],
)
def test_what_is_no_image_for_a_card_is_refused(tmp_path, data, said):
    with pytest.raises(BoardError, match=said):
        image.layout(opened(tmp_path, data))


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(BoardError, match="expected an image file, found: No such file"):
        image.open_image(tmp_path / "none.img")


def test_an_encrypted_root_is_refused(tmp_path):
    root = b"LUKS\xba\xbe" + struct.pack(">H", 2) + bytes(504)
    source = opened(tmp_path, lzma.compress(card_images.card(card_images.SYSTEMD, root=root)))
    found = image.layout(source)

    with source.head(image.head_bytes(found)) as head, pytest.raises(BoardError, match="LUKS"):
        image.refuse_encrypted(head, found)
