"""What goes onto a card's boot partition is held to the board and to the room that is there."""

from __future__ import annotations

import io
import shutil

import card_images
import pytest

from boards.flash import card_files
from boards.flash.fat import Fat
from edge.errors import BoardError

pytestmark = pytest.mark.board


def test_what_misses_room_by_a_little_is_not_said_to_miss_nothing():
    fat = Fat(io.BytesIO(card_images.fat16(card_images.CLOUDINIT_RPI, free=5)), 0)

    with pytest.raises(
        BoardError, match=r"0\.0 MiB free and the files need 0\.1 MiB: 0\.1 MiB are"
    ):
        card_files.check_room(fat, {"edge/wheel": bytes(5000)})


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="needs ssh-keygen: openssh-client")
@pytest.mark.parametrize(
    ("signers", "is_refused"),
    [
        pytest.param("fleet.signers", False, id="who signed it"),
        pytest.param("other.signers", True, id="another"),
        pytest.param("fleet.pub", True, id="a key without a name"),
    ],
)
def test_signers_that_would_refuse_their_own_card_are_refused(tmp_path, signers, is_refused):
    folder = card_images.bundle(tmp_path / "bundle")
    card_images.sign(folder, tmp_path)
    bundle, said = card_files.opened(folder), ""

    try:
        card_files.check_signed(bundle, (tmp_path / signers).read_bytes(), tmp_path / "scratch")
    except BoardError as error:
        said = str(error)

    assert ("the board would refuse this bundle" in said) == is_refused
    assert "scratch" not in said


def test_a_bundle_that_nobody_signed_is_refused_where_signers_are_named(tmp_path):
    bundle = card_files.opened(card_images.bundle(tmp_path / "bundle"))

    with pytest.raises(BoardError, match="edge-board bundle pi5 --sign KEY --out DIR"):
        card_files.check_signed(bundle, b"", tmp_path / "scratch")


def test_the_secrets_that_a_configuration_reads_stand_in_its_unit(tmp_path):
    unit = b"[Service]\nLoadCredential=mqtt:/etc/edge/secrets/mqtt\nLoadCredential=web:/x\n"
    more = {"root/etc/systemd/system/edge.service": unit}

    told = card_files.opened(card_images.bundle(tmp_path / "told", more=more))
    bare = card_files.opened(card_images.bundle(tmp_path / "bare"))

    assert card_files.secrets(told) == {"mqtt", "web"}
    assert card_files.secrets(bare) == set()
