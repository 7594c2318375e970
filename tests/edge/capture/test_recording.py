"""A recording gives back every byte and time, as far as it is whole, and says where it is not."""

from __future__ import annotations

import json
import os
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yuv_pictures

from edge.capture.picture import Picture, pixel_shape
from edge.capture.recording import Entry, Header, Recorder
from edge.capture.registry import open_source
from edge.capture.replay import Player
from edge.errors import SinkError, SourceError

pytestmark = pytest.mark.board

MIB = 2**20
HEADER = Header(camera="door", source="demo:")
FORMATS = ("bgr", "nv12", "i420", "j420", "yuyv", "grey")


def pictures(count=4, size_wh=(64, 48), kinds=FORMATS):
    rng = np.random.default_rng(7)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        pixels = rng.integers(0, 256, pixel_shape(kind, size_wh), np.uint8)
        yield Picture(pixels, 10**9 + number * 33, 10**18 + number * 33, 0, kind)


def record(path, taken, *, max_bytes=MIB, finish=True):
    with Recorder(path, HEADER, max_bytes=max_bytes) as recorder:
        added = [recorder.add(picture) for picture in taken]
        if finish:
            recorder.finish()
    return added


def play(path):
    player = Player(path)
    found = []
    while frame := player.next_frame(None):
        found.append(frame)
    player.close()
    return found


def test_every_format_comes_back_to_the_byte_with_its_times(tmp_path):
    taken = list(pictures(10))
    record(tmp_path / "door.rec", taken)
    assert [path.name for path in tmp_path.iterdir()] == ["door.rec"]
    found = play(tmp_path / "door.rec")
    assert len(found) == 10
    for (entry, pixels), picture in zip(found, taken, strict=True):
        np.testing.assert_array_equal(pixels, picture.pixels)
        assert entry.format == picture.format
        assert entry.size_wh == (64, 48)
        assert (entry.captured_ns, entry.captured_utc_ns) == (
            picture.captured_ns,
            picture.captured_utc_ns,
        )


def test_rows_that_are_further_apart_are_recorded_without_what_lies_between(tmp_path):
    padded = np.full((48, 80, 3), 99, np.uint8)
    padded[:, :64] = 5
    record(tmp_path / "door.rec", [Picture(padded[:, :64], 0, 0, 0)])
    ((_, pixels),) = play(tmp_path / "door.rec")
    assert (pixels == 5).all()


def test_a_frame_that_is_to_be_turned_still_is(tmp_path):
    taken = replace(next(pictures(1)), rotate=90)
    record(tmp_path / "door.rec", [taken])
    with open_source(f"replay:{tmp_path}/door.rec") as source:
        picture = source.read(None)
    assert (picture.rotate, picture.size_wh) == (90, (48, 64))
    np.testing.assert_array_equal(picture.pixels, taken.pixels)


def test_a_smooth_image_takes_a_fraction_of_its_bytes(tmp_path):
    ramp = np.add.outer(np.arange(480), np.arange(640)).astype(np.uint8)
    record(tmp_path / "door.rec", [Picture(ramp, 0, 0, 0, "grey")])
    assert (tmp_path / "door.rec").stat().st_size < ramp.size / 20


def test_frames_lie_in_the_buffer_that_is_given_where_it_fits(tmp_path):
    record(tmp_path / "door.rec", pictures(2, kinds=("bgr",)))
    player = Player(tmp_path / "door.rec")
    _, first = player.next_frame(None)
    _, second = player.next_frame(first)
    assert second is first


def test_a_recording_never_takes_more_than_its_limit(tmp_path):
    added = record(tmp_path / "door.rec", pictures(50, kinds=("bgr",)), max_bytes=100_000)
    assert added.count(True) == added.index(False) > 5
    assert (tmp_path / "door.rec").stat().st_size <= 100_000
    assert len(play(tmp_path / "door.rec")) == added.index(False)


def test_memory_is_that_of_a_few_frames_however_long_it_is(tmp_path):
    frame_bytes = 640 * 480 * 3
    image = np.add.outer(np.arange(480), np.arange(640)).astype(np.uint8)
    picture = Picture(np.dstack([image] * 3), 0, 0, 0)
    tracemalloc.start()
    record(tmp_path / "door.rec", [picture] * 30)
    player, buffer = Player(tmp_path / "door.rec"), None
    while frame := player.next_frame(buffer):
        buffer = frame[1]
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 4 * frame_bytes


def test_one_that_was_never_finished_plays_up_to_where_it_is_whole(tmp_path, caplog):
    record(tmp_path / "door.rec", pictures(4), finish=False)
    part = tmp_path / "door.rec.part"
    assert len(play(part)) == 4
    assert "its first 4 frames are whole" in caplog.text


@pytest.mark.parametrize("tail", [b"", b"\0" * 5000], ids=["cut", "zeros of a file system"])
def test_wherever_a_power_cut_ends_it_the_whole_frames_before_that_play(tmp_path, tail):
    record(tmp_path / "door.rec", pictures(3), finish=False)
    part = tmp_path / "door.rec.part"
    data = part.read_bytes()
    counts = set()
    for length in range(data.index(b"\n") + 1, len(data), 997):
        part.write_bytes(data[:length] + tail)
        try:
            counts.add(len(play(part)))
        except SourceError as error:
            assert "found 0 whole frames" in str(error)  # noqa: PT017 - which of both is not known before
    assert counts == {1, 2}


def test_damage_inside_a_finished_recording_is_one_sentence_that_says_where(tmp_path):
    record(tmp_path / "door.rec", pictures(3))
    data = bytearray((tmp_path / "door.rec").read_bytes())
    for at in range(len(data) // 3, len(data) - 20, 1601):
        damaged = data.copy()
        damaged[at] ^= 0x55
        (tmp_path / "door.rec").write_bytes(damaged)
        with pytest.raises(
            SourceError,
            match=r"door.rec: expected a whole rec.* found [012] whole frames and then damage \(",
        ) as caught:
            play(tmp_path / "door.rec")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + b"\0" * 99, id="image"),
        pytest.param(b'{"edge_recording":2,"camera":"a","source":"b"}\n', id="a later version"),
        pytest.param(b'{"edge_recording":1', id="cut header"),
        pytest.param(b"x" * 10_000, id="no line"),
    ],
)
def test_another_file_is_refused_in_one_sentence(tmp_path, data):
    (tmp_path / "door.rec").write_bytes(data)
    with pytest.raises(
        SourceError, match=r"door.rec: expected a recording of this version"
    ) as caught:
        Player(tmp_path / "door.rec")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param({"size_wh": [16384, 16384]}, id="more pixels than anyone needs"),
        pytest.param({"packed_bytes": 2**40}, id="more bytes than its pixels"),
        pytest.param({"size_wh": [0, 48]}, id="no width"),
        pytest.param({"format": "rgb"}, id="another format"),
    ],
)
def test_a_claim_is_doubted_before_memory_is_taken_for_it(tmp_path, claim):
    record(tmp_path / "door.rec", pictures(1))
    header, entry, rest = (tmp_path / "door.rec").read_bytes().split(b"\n", 2)
    entry = json.dumps(json.loads(entry) | claim).encode()
    (tmp_path / "door.rec").write_bytes(b"\n".join([header, entry, rest]))
    tracemalloc.start()
    with pytest.raises(SourceError, match="found 0 whole frames"):
        play(tmp_path / "door.rec")
    assert tracemalloc.get_traced_memory()[1] < MIB
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("kind", "size_wh"), [("nv12", (63, 48)), ("i420", (64, 47)), ("yuyv", (63, 47))]
)
def test_half_a_sample_of_colour_is_no_frame(kind, size_wh):
    entry = {"captured_ns": 0, "captured_utc_ns": 0, "packed_bytes": 9}
    with pytest.raises(ValueError, match=f"{kind} of odd sides"):
        Entry(**entry, format=kind, size_wh=size_wh).shape()
    assert Entry(**entry, format="yuyv", size_wh=(64, 47)).shape() == (47, 64, 2)


@pytest.mark.parametrize("taken", ["door.rec", "door.rec.part"])
def test_nothing_is_overwritten(tmp_path, taken):
    (tmp_path / taken).write_text("mine")
    with pytest.raises(SinkError, match=f"{taken}: expected no file, found one"):
        record(tmp_path / "door.rec", [])
    assert (tmp_path / taken).read_text() == "mine"


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(SinkError, match=r"door.rec.part: cannot be written: No such file"):
        record(tmp_path / "none" / "door.rec", [])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_a_sentence_that_says_what_can_be_played(tmp_path):
    with Recorder(tmp_path / "door.rec", HEADER, max_bytes=MIB) as recorder:
        recorder.add(next(pictures(1)))
        os.dup2(os.open("/dev/full", os.O_WRONLY), recorder._file.fileno())
        with pytest.raises(SinkError, match=r"No space left on device; its first 1 frames can be"):
            recorder.add(next(pictures(1)))
    assert len(play(tmp_path / "door.rec.part")) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_is_full_from_the_start_leaves_nothing_that_is_in_the_way(
    tmp_path, monkeypatch
):
    def opened(path, mode):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        return open("/dev/full", "wb")  # noqa: PTH123 - closed by the recorder

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(SinkError, match="No space left on device; make room"):
        Recorder(tmp_path / "door.rec", HEADER, max_bytes=MIB)
    assert list(tmp_path.iterdir()) == []


def test_a_finished_recording_without_a_frame_is_refused(tmp_path):
    record(tmp_path / "door.rec", [])
    with pytest.raises(SourceError, match="it holds no frame"):
        play(tmp_path / "door.rec")


def test_planes_of_a_camera_are_recorded_as_they_are(tmp_path):
    image = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
    taken = yuv_pictures.picture(image, "nv12")
    record(tmp_path / "door.rec", [taken])
    ((_, pixels),) = play(tmp_path / "door.rec")
    np.testing.assert_array_equal(pixels, taken.pixels)
