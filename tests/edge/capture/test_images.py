from __future__ import annotations

import time

import pytest
from image_files import level, png_claiming, read_all

from edge.capture.images import open_images
from edge.capture.options import SourceOptions
from edge.capture.registry import check_source, open_source
from edge.errors import SourceError

pytestmark = pytest.mark.board


EVERY = SourceOptions()


def test_a_folder_gives_each_image_once_by_name_and_passes_over_the_rest(folder):
    source = open_source(f"images:{folder}", EVERY)
    assert [level(image) for image in read_all(source)] == [0, 1, 2]
    assert [level(image) for image in read_all(open_source(f"file:{folder}", EVERY))] == [0, 1, 2]


def test_a_looping_folder_starts_again(folder):
    source = open_images(str(folder), SourceOptions(loop=True))
    assert [level(image) for image in read_all(source, limit=7)] == [0, 1, 2, 0, 1, 2, 0]


def test_images_in_real_time_come_at_the_rate_asked_for(folder):
    began_s = time.monotonic()
    source = open_images(str(folder), SourceOptions(realtime=True, rate_hz=50.0))
    assert source.live
    assert len(read_all(source)) == 3
    assert time.monotonic() - began_s >= 2 / 50


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(SourceError, match=r"a folder of images .*, found none in 1 entries"):
        open_images(str(tmp_path), EVERY)


@pytest.mark.parametrize("content", [b"BM but not a bitmap" * 9, b"", png_claiming(40_000, 40_000)])
@pytest.mark.parametrize("loop", [False, True], ids=["once", "round and round"])
def test_a_bad_image_of_a_folder_is_named_counted_and_passed_over(folder, content, loop, caplog):
    (folder / "b.BMP").write_bytes(content)
    source = open_images(str(folder), SourceOptions(loop=loop))
    expected = [0, 2, 0, 2] if loop else [0, 2]
    assert [level(image) for image in read_all(source, limit=4)] == expected
    (warning,) = caplog.messages
    assert "b.BMP: " in warning
    assert warning.endswith("passed over, 1 so far")


def test_a_folder_whose_last_image_is_bad_goes_round(folder):
    (folder / "c.png").write_bytes(b"")
    source = open_images(str(folder), SourceOptions(loop=True))
    assert [level(image) for image in read_all(source, limit=5)] == [0, 1, 0, 1, 0]


@pytest.mark.parametrize("loop", [False, True], ids=["once", "round and round"])
def test_a_folder_of_bad_images_only_is_an_error(folder, loop):
    for path in folder.iterdir():
        path.write_bytes(b"")
    source = open_images(str(folder), SourceOptions(loop=loop))
    with pytest.raises(SourceError, match=r"c\.png: .* \(the last of 3 like it\)"):
        source.read(None)


def test_an_image_taken_away_after_opening_is_passed_over(folder, caplog):
    with open_images(str(folder), EVERY) as source:
        (folder / "a.jpg").unlink()
        assert level(source.read(None).pixels) == 1
    assert "a.jpg: cannot be read" in caplog.text


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        pytest.param("missing", {}, "expected a folder of images, found nothing", id="missing"),
        pytest.param(
            "a.jpg", {}, "expected a folder of images, found a file; write file:", id="file"
        ),
    ],
)
def test_what_is_no_folder_of_images_is_refused(folder, name, options, message):
    with pytest.raises(SourceError, match=message):
        open_images(str(folder / name), SourceOptions(**options))


def test_a_bad_image_is_told_once_though_its_folder_is_checked_before_it_is_read(folder, caplog):
    (folder / "a.jpg").write_bytes(b"no image")
    check_source(f"images:{folder}")
    assert len(read_all(open_source(f"images:{folder}"))) == 2
    assert ["passed over" in row.getMessage() for row in caplog.records] == [True]
