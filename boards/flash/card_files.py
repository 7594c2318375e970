"""The files that a card's boot partition gets beside its own: a bundle and the first boot's."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

from boards.device import signatures
from boards.device.bundle import parse
from boards.device.place import Place
from boards.device.signatures import MANIFEST, SIGNATURE, SIGNERS
from boards.flash import formats
from edge.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boards.device.bundle import Bundle
    from boards.flash.answers import Settings
    from boards.flash.fat import Fat
    from boards.flash.formats import System
    from boards.profile import Profile

# By path on the boot partition: what is written, or the file that is copied.
Files = dict[str, bytes | Path]
MIB = 1 << 20
SERVICE = "root/etc/systemd/system/edge.service"
UNIT = "root/etc/systemd/system/edge-firstboot.service"
FIRSTBOOT = f"""\
#!/bin/sh
# Hands the first boot over to a unit, which begins again where a power cut stopped it.
set -eu
[ ! -e /var/lib/edge-install/firstboot.done ] || exit 0
cp {formats.MOUNTED}/edge/{UNIT} /etc/systemd/system/
chmod 644 /etc/systemd/system/edge-firstboot.service
systemctl daemon-reload
systemctl enable edge-firstboot.service
sync
[ "${{1:-}}" = enable ] || systemctl start --no-block edge-firstboot.service
"""


def opened(folder: Path) -> Bundle:
    """Return a bundle, each file of which is as its list says.

    Raises:
        BoardError: One isn't, or it is no bundle that installs anything.
    """
    try:
        text = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise BoardError(
            f"{folder}: expected a bundle, found no {MANIFEST} that can be read; "
            "make one with: edge-board bundle PROFILE --out DIR"
        ) from error
    found = parse(folder, text)
    found.verify()
    if UNIT not in found.files:
        raise BoardError(f"{folder}: the bundle has no {UNIT}, so nothing would install it")
    return found


def names(bundle: Bundle) -> list[str]:
    """Return the paths of a bundle's files, those too that describe it."""
    return [*bundle.files, MANIFEST, *[SIGNATURE] * (bundle.folder / SIGNATURE).is_file()]


def secrets(bundle: Bundle) -> set[str]:
    """Return the names of the secrets that a bundle's configuration reads."""
    path = bundle.folder / SERVICE
    text = path.read_text(encoding="utf-8") if SERVICE in bundle.files else ""
    return set(re.findall(r"^LoadCredential=([^:]+):", text, re.MULTILINE))


def of_bundle(bundle: Bundle) -> Files:
    """Return a bundle's files by their path on the boot partition."""
    files: Files = {f"edge/{name}": bundle.folder / name for name in names(bundle)}
    return files | {"edge/firstboot.sh": FIRSTBOOT.encode()}


def check(bundle: Bundle, profile: Profile, *, python: str, title: str) -> None:
    """Refuse a bundle for another board, or without wheels for the image's Python.

    Args:
        bundle: To be checked.
        profile: Of the board.
        python: Of the image; empty where that is not known.
        title: Of the image.

    Raises:
        BoardError: It is for another, or has none.
    """
    made_for, versions = bundle.fields["profile"], bundle.fields["python"]
    if made_for != profile.name:
        raise BoardError(
            f"{bundle.folder}: expected a bundle for {profile.name}, found one for {made_for}; "
            f"type: edge-board bundle {profile.name} --out DIR"
        )
    if not versions or (python and python not in versions):
        raise BoardError(
            f"{bundle.folder}: expected wheels for Python {python or 'of the board'}, as {title} "
            f"has it, found those for {', '.join(versions) or 'none'}; type: edge-board bundle "
            f"{profile.name}{f' --python {python}' if python else ''} --out DIR"
        )


def check_signed(bundle: Bundle, signers: bytes, scratch: Path) -> None:
    """Refuse a bundle that a board with these signers would refuse, by that board's own check.

    Args:
        bundle: To be checked.
        signers: In `ssh-keygen`'s format.
        scratch: A folder that becomes a board's.

    Raises:
        BoardError: Nobody signed it, or none of them.
    """
    if not (bundle.folder / SIGNATURE).is_file():
        raise BoardError(
            f"--allowed-signers: expected a signed bundle, found {bundle.folder} without a "
            "signature, which the board would refuse; type: edge-board bundle "
            f"{bundle.fields['profile']} --sign KEY --out DIR, and give it as --bundle"
        )
    board = Place(scratch / "board")
    board.etc.mkdir(parents=True)
    (board.etc / SIGNERS).write_bytes(signers)
    try:
        signatures.check(board, bundle.folder, (bundle.folder / MANIFEST).read_bytes())
    except BoardError as error:
        raise BoardError(
            "--allowed-signers: the board would refuse this bundle "
            f"({str(error).replace(str(board.root), '')}); a line of that file "
            'is a name and a key, as: echo "fleet $(cat fleet.pub)"'
        ) from error


def of_first_boot(fat: Fat, system: System, settings: Settings, *, words: Sequence[str]) -> Files:
    """Return the files that the image reads at its first boot.

    Args:
        fat: The image's boot partition.
        system: What the image is.
        settings: What the board is told.
        words: Of the kernel's command line, what the board needs in any case.

    Raises:
        BoardError: The boot partition has no command line for the kernel, and needs one.
    """
    files, more = formats.first_boot(system, settings)
    if "cmdline.txt" in fat:
        line = fat.read("cmdline.txt").decode(errors="replace")
        files["cmdline.txt"] = formats.with_words(line, (*words, *more)).encode()
    elif system.format == "systemd":
        raise BoardError("expected cmdline.txt on the boot partition, which starts firstrun.sh")
    return dict(files)


def check_room(fat: Fat, files: Files) -> None:
    """Refuse what doesn't fit on the boot partition.

    Raises:
        BoardError: It doesn't.
    """
    folders = {parent for path in files for parent in Path(path).parents}
    needed = sum(fat.needed_bytes(size(data)) for data in files.values())
    needed += len(folders) * fat.cluster_bytes
    if needed > fat.free_bytes:
        needs, missing = (
            math.ceil(10 * size / MIB) / 10 for size in (needed, needed - fat.free_bytes)
        )
        raise BoardError(
            f"the boot partition has {fat.free_bytes / MIB:.1f} MiB free and the files need "
            f"{needs} MiB: {missing} MiB are missing; "
            "make the bundle for one Python alone, or take an image with a larger one"
        )


def contents(data: bytes | Path) -> bytes:
    """Return what is in a file that is copied, or in one that was made."""
    return data if isinstance(data, bytes) else data.read_bytes()


def size(data: bytes | Path) -> int:
    """Return the size of a file, in bytes."""
    return len(data) if isinstance(data, bytes) else data.stat().st_size
