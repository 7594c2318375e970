import pytest

from edge.capture.location import find
from edge.errors import SourceError

pytestmark = pytest.mark.board


@pytest.mark.parametrize("scheme", ["file", "images"])
def test_a_folder_is_found_by_path_and_by_url(tmp_path, scheme):
    folder = tmp_path / "with space"
    folder.mkdir()
    assert find(scheme, str(folder)) == folder
    assert find(scheme, f"//{folder}".replace(" ", "%20")) == folder
    assert find(scheme, f"//localhost{folder}".replace(" ", "%20")) == folder


@pytest.mark.parametrize(
    ("scheme", "location", "message"),
    [
        ("images", "", "needs a path after its colon; write images:PATH"),
        ("images", "//host/a", "names the host 'host'"),
        ("file", "no/such.mp4", "expected a video, an image or a folder of images, found nothing"),
        ("file", "x" * 300, "cannot be read"),
    ],
)
def test_what_is_not_there_is_said_in_one_sentence(scheme, location, message):
    with pytest.raises(SourceError, match=message) as caught:
        find(scheme, location)
    assert "\n" not in str(caught.value)
