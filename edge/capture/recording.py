"""A recording: the frames of one source as they came, with their times, in one file.

A line of JSON says what was recorded; then for each frame a line of JSON (`Entry`) and the bytes
that it announces; last a line that says how many frames there are. The bytes are the pixels, each
row less the one above it, by zlib with run lengths: a 720p NV12 frame takes 10 to 15 ms and 17 to
44 % of its size, as PNG 18 to 26 ms and 15 to 40 % (x86). Nothing has to be known of later frames,
so a recording is written from front to end, and plays from front to end up to where it is whole.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import time
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

from edge.capture.image_header import MAX_IMAGE_PIXELS
from edge.capture.options import Pixels
from edge.capture.picture import PixelFormat, pixel_shape
from edge.errors import SinkError
from edge.record import Record

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from typing_extensions import Self

    from edge.capture.picture import Picture

PART_SUFFIX = ".part"
# A line of an honest recording is a fifth of that.
MAX_LINE_BYTES = 1024
# A power cut costs so much of a recording at most.
SYNC_S = 5.0
# The last line of a recording that nothing ended too soon, and what the limit keeps for it.
END = re.compile(rb'\{"frames":(\d{1,18})\}\n\Z')
END_BYTES = 64
# What deflate adds at most to what it cannot press: 5 bytes a block of 16 KiB, and its frame.
# Source: zlib.h, deflateBound.
DEFLATE_ROOM = 1.001
Natural = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Header(Record, frozen=True, kw_only=True):
    """What a recording begins with.

    Attributes:
        edge_recording: Version of this format.
        camera: Name of the camera.
        source: URI of what was recorded, without what may be secret.
    """

    edge_recording: Literal[1] = 1
    camera: str
    source: str


class Entry(Record, frozen=True, kw_only=True):
    """What precedes the pixels of one frame.

    Attributes:
        captured_ns: Monotonic clock of the machine that recorded: only differences have a meaning.
        captured_utc_ns: Nanoseconds since the Unix epoch, UTC.
        format: What the pixels mean.
        size_wh: Width and height of the frame, pixels, before it is turned.
        rotate: Degrees clockwise by which it is to be turned.
        packed_bytes: Of the compressed pixels that follow.
    """

    captured_ns: Natural
    captured_utc_ns: Natural
    format: PixelFormat
    size_wh: tuple[Pixels, Pixels]
    rotate: Literal[0, 90, 180, 270] = 0
    packed_bytes: Natural

    def shape(self) -> tuple[int, ...]:
        """Return the shape of the frame's pixels, as `Picture.pixels` has it.

        Raises:
            ValueError: The entry claims what no frame has, which would take the memory for it.
        """
        width, height = self.size_wh
        shape = pixel_shape(self.format, self.size_wh)
        if self.format not in ("bgr", "grey") and (
            width % 2 or (self.format != "yuyv" and height % 2)
        ):
            raise ValueError(f"{self.format} of odd sides, {width}x{height}")
        most = int(math.prod(shape) * DEFLATE_ROOM) + END_BYTES
        if self.packed_bytes > most or width * height > MAX_IMAGE_PIXELS:
            raise ValueError(f"{self.packed_bytes} bytes for a frame of {width}x{height}")
        return shape


class Recorder:
    """Writes a recording, to `NAME.part` until it is finished; one thread.

    Args:
        path: Of the recording; neither it nor its part may exist.
        header: What it begins with.
        max_bytes: What the file may take on the disk.

    Attributes:
        frames: How many were written.
        bytes: What they take.

    Raises:
        SinkError: It cannot be written, or a name is taken.
    """

    def __init__(self, path: Path, header: Header, *, max_bytes: int) -> None:
        self.frames = self.bytes = 0
        self._path, self._max_bytes = path, max_bytes - END_BYTES
        self._part = path.with_name(path.name + PART_SUFFIX)
        for taken in (path, self._part):
            if taken.exists():
                raise SinkError(f"{taken}: expected no file, found one; take another name for it")
        self._synced_s = time.monotonic()
        try:
            self._file = self._part.open("xb")
        except OSError as error:
            raise self._fault(error) from error
        try:
            self._write(_line(header))
        except SinkError:
            self.close()
            raise

    def add(self, picture: Picture) -> bool:
        """Write a frame; False, and nothing is written, where the limit leaves no room for it.

        Raises:
            SinkError: The disk is full or broken; the frames before this one can be played.
        """
        packed = _pack(picture.pixels)
        entry = Entry(
            captured_ns=picture.captured_ns,
            captured_utc_ns=picture.captured_utc_ns,
            format=picture.format,
            size_wh=replace(picture, rotate=0).size_wh,
            rotate=picture.rotate,  # type: ignore[arg-type] # one of these
            packed_bytes=len(packed),
        )
        line = _line(entry)
        if self.bytes + len(line) + len(packed) > self._max_bytes:
            return False
        self._write(line, packed)
        self.frames += 1
        return True

    def finish(self) -> None:
        """Give the recording its end and its name, once all of it is on the disk."""
        self._write(b'{"frames":%d}\n' % self.frames)
        try:
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.rename(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise self._fault(error) from error

    def close(self) -> None:
        """Let go of the file, and remove it where it holds no frame."""
        with contextlib.suppress(OSError):  # what a full disk left in the buffer
            self._file.close()
        if not self.frames:
            self._part.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, *parts: bytes) -> None:
        try:
            for part in parts:
                self._file.write(part)
            self._file.flush()
            if time.monotonic() - self._synced_s > SYNC_S:
                os.fdatasync(self._file.fileno())
                self._synced_s = time.monotonic()
        except OSError as error:
            raise self._fault(error) from error
        self.bytes += sum(map(len, parts))

    def _fault(self, error: OSError) -> SinkError:
        kept = f"; its first {self.frames} frames can be played" if self.frames else ""
        return SinkError(
            f"{self._part}: cannot be written: {error.strerror}{kept}; make room or name another "
            "place with --out"
        )


def _line(record: Record) -> bytes:
    return msgspec.json.encode(record) + b"\n"


def _pack(pixels: NDArray[np.uint8]) -> bytes:
    rows = pixels.reshape(len(pixels), -1)  # (rows, bytes of one)
    steps = rows.copy()
    steps[1:] -= rows[:-1]
    packer = zlib.compressobj(1, strategy=zlib.Z_RLE)
    return packer.compress(steps.data) + packer.flush()


def unpack(
    packed: bytes, shape: tuple[int, ...], buffer: NDArray[np.uint8] | None
) -> NDArray[np.uint8]:
    """Return pixels of this shape, in `buffer` where they fit.

    Raises:
        ValueError: The bytes are not all that belongs to them, or too many; or `zlib.error`.
    """
    size = math.prod(shape)
    unpacker = zlib.decompressobj()
    steps = unpacker.decompress(packed, size + 1)
    if len(steps) != size or not unpacker.eof:
        raise ValueError(f"{len(steps)} bytes of pixels where {size} belong")
    if buffer is None or buffer.shape != shape:
        buffer = np.empty(shape, np.uint8)
    rows = np.frombuffer(steps, np.uint8).reshape(shape[0], -1)
    np.add.accumulate(rows, axis=0, dtype=np.uint8, out=buffer.reshape(rows.shape))
    return buffer
