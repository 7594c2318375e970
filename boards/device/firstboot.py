"""The first boot of a card, and a report on it for whoever takes that out again.

It may be cut at any point and begins anew: what was done is found done, the last stamp ends it.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from boards.device import bundle as bundles
from boards.device import files, install, updates
from boards.device.place import write_json
from boards.device.signatures import SIGNERS
from boards.device.system import FIRSTBOOT_DONE
from edge.errors import BoardError

if TYPE_CHECKING:
    from pathlib import Path

    from boards.device.place import Place

STAMPS, REPORT = "firstboot.json", "edge-firstboot.txt"
# cloud-init lays a Wi-Fi's key down where the system reads it: a folder that root alone reads.
NETWORKS = ("etc/netplan", "etc/NetworkManager/system-connections")
# So it never asks for the key again. Source: cloud-init, "Network configuration", disabling it.
NO_NETWORK = "etc/cloud/cloud.cfg.d/99-edge-network.cfg"


def firstboot(place: Place, folder: Path) -> None:
    """Install the bundle of a card.

    Args:
        place: The board.
        folder: Of the bundle, on the boot partition.

    Raises:
        BoardError: With why not, which the report says as well.
    """
    place.need_root()
    with files.told(), files.locked(place.lock):
        if (place.state / FIRSTBOOT_DONE).exists():
            place.say("the first boot is over already")
            return
        notes = _Notes(place, folder)
        try:
            with files.told():
                name = _install(replace(place, say=notes.say), folder)
        except BoardError as error:
            notes.end(f"failed: {error}", state="failed")
            raise
        notes.end(f"the first boot is over: {name} is installed", state="done")
        files.write(place.state / FIRSTBOOT_DONE, b"")


def _install(place: Place, folder: Path) -> str:
    place.say("moves secrets off the boot partition")
    move_secrets(place, folder)
    forget_wifi(place, folder.parent / "network-config")
    try:
        with bundles.opened(place, folder) as bundle:
            try:
                install.install(place, bundle)
            except updates.Unwell as fault:
                # It is installed: a camera may come later, and the service waits for it.
                place.say(str(fault))
            return bundle.name
    finally:
        # As late as can be, since cloud-init makes the user beside this.
        forget_password(place, folder.parent / "user-data")


def move_secrets(place: Place, folder: Path) -> None:
    """Move secrets off the boot partition, where everybody reads everything.

    One that was overwritten already, but not deleted, is not taken for the secret.
    """
    for path in sorted([*(folder / "secrets").glob("*"), folder / SIGNERS]):
        if not files.is_file(path):
            continue
        data = path.read_bytes()
        is_secret = path.name != SIGNERS
        if data.strip(b"\0"):
            target = place.etc / ("secrets" if is_secret else "") / path.name
            files.make_folder(target.parent, 0o700 if is_secret else 0o755)
            files.write(target, data, 0o600 if is_secret else 0o644)
        if is_secret:
            files.overwrite(path)
    with suppress(OSError):  # whatever else lies there stays
        (folder / "secrets").rmdir()


def forget_wifi(place: Place, path: Path) -> None:
    """Delete a Wi-Fi's key on the boot partition, once the system has it where it stays."""
    found = re.search(r'"password": "([0-9a-f]{64})"', _text(path))
    if not found:
        return
    if not any(found[1] in _text(each) for at in NETWORKS for each in (place.root / at).glob("*")):
        place.say(f"keeps the Wi-Fi's key in {path}: the system has not taken it over")
        return
    files.make_folder((place.root / NO_NETWORK).parent)
    files.write(place.root / NO_NETWORK, b"network: {config: disabled}\n")
    files.overwrite(path)


def forget_password(place: Place, path: Path) -> None:
    """Blot out a password's hash on the boot partition, once the system has it.

    The rest of the file stays, as cloud-init reads it at every boot.
    """
    found = re.search(r'"passwd": "(\$6\$[^"]+)"', _text(path))
    if not found:
        return
    if found[1] not in _text(place.root / "etc/shadow"):
        place.say(f"keeps the user's hashed password in {path}: the system has not taken it over")
        return
    files.blot(path, found[1].encode())


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


class _Notes:
    """What was done when; kept on the board, and at the end on the card for people."""

    def __init__(self, place: Place, folder: Path) -> None:
        self._place, self._report = place, folder.parent / REPORT
        self._began_s = time.monotonic()
        self._lines: list[str] = []

    def say(self, message: str, *, state: str = "working") -> None:
        """Take note of a step."""
        self._place.say(message)
        self._lines.append(f"{time.monotonic() - self._began_s:6.1f} s  {message}")
        fields = {"state": state, "message": message, "steps": self._lines}
        write_json(self._place.state / STAMPS, fields)

    def end(self, message: str, *, state: str) -> None:
        """Say how it went, on the card too."""
        self.say(message, state=state)
        text = "\n".join(["edge-vision, first boot", *self._lines])
        try:
            files.write(self._report, f"{text}\n".encode())
        except OSError as error:  # a full or worn boot partition is no reason to install again
            self._place.say(f"{self._report} was not written: {error}")
