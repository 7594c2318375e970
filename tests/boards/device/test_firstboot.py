"""The first boot of a card installs what lies on it, once, and says so on the card."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest
from board_bundles import CONFIG, FULL, write_bundle

from boards.device import files, firstboot
from edge.errors import BoardError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.board


def card(tmp_path: Path, contents: dict[str, str] = FULL) -> Path:
    folder = write_bundle(tmp_path / "boot/edge", contents)
    (folder / "secrets").mkdir(exist_ok=True)
    (folder / "secrets/mqtt").write_text("password")
    return folder


def test_a_first_boot_installs_moves_the_secret_and_says_so_on_the_card(place, root, tmp_path):
    folder = card(tmp_path)

    firstboot.firstboot(place, folder)

    secret = root / "etc/edge/secrets/mqtt"
    assert (secret.read_text(), secret.stat().st_mode & 0o777) == ("password", 0o600)
    assert not (folder / "secrets").exists()
    assert (place.current / "device.toml").read_text() == CONFIG
    report = (tmp_path / "boot/edge-firstboot.txt").read_text()
    assert "the first boot is over" in report
    assert "password" not in report
    before = place.current.resolve()
    firstboot.firstboot(place, folder)
    assert place.current.resolve() == before


def test_a_first_boot_that_fails_says_why_on_the_card_and_is_tried_again(place, root, tmp_path):
    folder = card(tmp_path)
    (folder / "device.toml").write_text("damaged")

    with pytest.raises(BoardError, match=r"device.toml: expected"):
        firstboot.firstboot(place, folder)

    assert "failed: " in (tmp_path / "boot/edge-firstboot.txt").read_text()
    card(tmp_path)
    firstboot.firstboot(place, folder)
    assert (root / "etc/edge/secrets/mqtt").read_text() == "password"
    assert (place.state / "firstboot.done").exists()


def test_a_secret_that_was_overwritten_but_not_deleted_does_not_replace_the_one_that_was_moved(
    place, root, tmp_path
):
    folder = card(tmp_path)
    firstboot.move_secrets(place, folder)
    (folder / "secrets").mkdir()
    (folder / "secrets/mqtt").write_bytes(bytes(8))

    firstboot.move_secrets(place, folder)

    assert (root / "etc/edge/secrets/mqtt").read_text() == "password"
    assert not (folder / "secrets").exists()


def test_two_first_boots_at_once_are_one_and_a_sentence(place, root, tmp_path):
    with files.locked(place.lock), pytest.raises(BoardError, match="first boot is at work"):
        firstboot.firstboot(place, card(tmp_path))


NETWORK = '{"network": {"wifis": {"wlan0": {"access-points": {"x": {"password": "%s"}}}}}}'


@pytest.mark.parametrize("is_taken_over", [True, False])
def test_the_key_of_the_wifi_leaves_the_card_once_the_system_has_it(
    place, root, tmp_path, is_taken_over
):
    """Else a board that is on a wall would be without its network after the next boot."""
    folder, key = card(tmp_path), "ab" * 32
    network = tmp_path / "boot/network-config"
    network.write_text(NETWORK % key)
    kept = root / "etc/netplan/50-cloud-init.yaml"
    kept.parent.mkdir(parents=True)
    kept.write_text(f'password: "{key}"' if is_taken_over else "eth0:")

    firstboot.firstboot(place, folder)

    told = root / "etc/cloud/cloud.cfg.d/99-edge-network.cfg"
    assert network.exists() != is_taken_over
    assert told.exists() == is_taken_over
    assert ("keeps the Wi-Fi's key" in (tmp_path / "boot/edge-firstboot.txt").read_text()) != (
        is_taken_over
    )


def test_a_network_without_a_key_stays(place, root, tmp_path):
    folder = card(tmp_path)
    (tmp_path / "boot/network-config").write_text('{"network": {"version": 2}}')

    firstboot.firstboot(place, folder)

    assert (tmp_path / "boot/network-config").exists()


@pytest.mark.parametrize("is_sound", [True, False], ids=["installed", "refused"])
@pytest.mark.parametrize("is_taken_over", [True, False])
def test_the_users_hashed_password_leaves_the_card_once_the_system_has_it(
    place, root, tmp_path, is_taken_over, is_sound
):
    """What else cloud-init reads there, at every boot, stays as it is."""
    folder, secret = card(tmp_path), "$6$salt$" + "./aZ9" * 17 + "x"
    told = tmp_path / "boot/user-data"
    fields = {"user": {"passwd": secret}, "hostname": "door"}
    told.write_text(f"#cloud-config\n{json.dumps(fields)}\n")
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc/shadow").write_text(f"anna:{secret if is_taken_over else '!'}:20000:0:::::\n")

    if not is_sound:
        (folder / "device.toml").write_text("damaged")
    with nullcontext() if is_sound else pytest.raises(BoardError):
        firstboot.firstboot(place, folder)

    left = "*" * len(secret) if is_taken_over else secret
    fields["user"]["passwd"] = left
    assert json.loads(told.read_text().partition("\n")[2]) == fields
    report = (tmp_path / "boot/edge-firstboot.txt").read_text()
    assert ("keeps the user's hashed password" in report) != is_taken_over
    assert secret not in report
