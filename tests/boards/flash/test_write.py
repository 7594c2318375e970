"""A card is written and read back; whatever goes wrong, it has no partition table then."""

from __future__ import annotations

import errno
import io

import card_images
import pytest

from boards.flash import image, write
from boards.flash.fat import Fat
from boards.flash.target import Target
from edge.errors import BoardError

pytestmark = pytest.mark.board


class Card(io.BytesIO):
    """A card of `size` bytes, of which it keeps `kept`; beyond, it drops or begins anew."""

    def __init__(self, size, kept=None, *, wraps=False, flips=None):
        super().__init__(b"\xaa" * size)
        self.kept, self.wraps, self.flips = kept or size, wraps, flips
        self.size, self.at = size, 0

    def seek(self, at, whence=0):
        self.at = at
        return super().seek(at % self.kept if self.wraps else at, whence)

    def write(self, data):
        data = bytes(data)[: self.size - self.at]
        if not data:
            raise OSError(errno.ENOSPC, "No space left on device")
        start = self.at
        self.at += len(data)
        if self.flips is not None and start <= self.flips < self.at:
            data = bytearray(data)
            data[self.flips - start] ^= 1
        if self.wraps:
            for index in range(0, len(data), 4096):
                super().seek((start + index) % self.kept)
                super().write(data[index : index + 4096])
        elif start < self.kept:
            super().write(data[: self.kept - start])
        return len(data)


@pytest.fixture
def job(tmp_path):
    path = tmp_path / "os.img"
    path.write_bytes(card_images.card(card_images.SYSTEMD))
    source = image.open_image(path)
    return write.Job(source, image.layout(source), {"edge/a.txt": b"hello", "cmdline.txt": b"new"})


def put(card, job, *, size=None):
    return write.write(card, job, size=size, progress=lambda *_: None)


def test_an_image_and_its_files_are_written(job):
    card = Card(8 << 20)

    put(card, job, size=8 << 20)

    original = job.source.path.read_bytes()
    found = card.getvalue()
    assert found[:512] == original[:512]
    changed = slice(job.layout.boot, job.layout.boot + job.layout.boot_size)
    assert found[: changed.start] == original[: changed.start]
    assert found[changed.stop : len(original)] == original[changed.stop :]
    assert Fat(card, job.layout.boot).read("edge/a.txt") == b"hello"


@pytest.mark.parametrize(
    "card",
    [
        pytest.param(Card(64 << 20, 6 << 20), id="drops what is beyond"),
        pytest.param(Card(64 << 20, 3 << 20), id="drops a part of the image"),
        pytest.param(Card(64 << 20, (6 << 20) + 4096, wraps=True), id="begins anew beyond"),
        pytest.param(Card(64 << 20, 3 << 20, wraps=True), id="begins anew inside the image"),
        pytest.param(Card(64 << 20, flips=4 << 20), id="flips one bit"),
    ],
)
def test_a_card_that_lies_is_found_by_reading_back(card, job):
    with pytest.raises(
        BoardError, match="does not keep what is written to it, though it says that it holds"
    ):
        put(card, job, size=64 << 20)

    assert not card.getvalue().startswith(job.source.path.read_bytes()[:512])


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        pytest.param(KeyboardInterrupt(), "stopped", id="Ctrl-C"),
        pytest.param(OSError(errno.ENOSPC, "x"), "is full", id="full"),
        pytest.param(OSError(errno.EIO, "Input/output error"), "Input/output error", id="broken"),
        pytest.param(BoardError("it lies"), "it lies", id="lies"),
    ],
)
def test_what_stopped_it_is_said_with_what_the_card_holds_now(trouble, said, tmp_path):
    target = Target(tmp_path / "card", "", None)

    half = f"{said}(.|\n)*half written and has no partition table"
    with pytest.raises(BoardError, match=half), write.told(target):
        raise trouble


def test_a_file_that_cannot_be_opened_is_one_sentence(tmp_path):
    target = Target(tmp_path, "", None)

    with pytest.raises(BoardError, match="cannot be opened"), write.opened(target):
        pass


def test_another_device_of_the_same_name_is_not_written(tmp_path):
    path = tmp_path / "card"
    path.write_bytes(b"x")

    with pytest.raises(BoardError, match="another device"), write.opened(Target(path, "", 1, 2080)):
        pass

    assert path.read_bytes() == b"x"


def test_a_larger_file_is_cut_to_the_image(job, tmp_path):
    path = tmp_path / "card"
    path.write_bytes(b"x" * (7 << 20))

    with write.opened(Target(path, "", None)) as disk:
        put(disk, job)

    assert path.stat().st_size == job.source.size
