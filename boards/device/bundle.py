"""A bundle: what a release is made of, listed with sizes and digests, in a folder or one .tar."""

from __future__ import annotations

import json
import re
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boards.device import files, signatures
from boards.device.signatures import MANIFEST, SIGNATURE
from edge.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from boards.device.place import Place

ID_LENGTH = 12
# Far over the list of any bundle, and over what a card has room for.
MOST_MANIFEST_BYTES, MOST_BYTES = 4 << 20, 4 << 30
# Relative, of plain names: no `..`, no empty part, nothing that starts with a dash.
SAFE = re.compile(r"(?!.*(^|/)\.{1,2}(/|$))[^/\x00-\x1f\\-][^/\x00-\x1f\\]*(/[^/\x00-\x1f\\]+)*")
REMEDY = "make the bundle again with `edge-board bundle`, and copy it whole"


@dataclass(frozen=True, slots=True)
class Bundle:
    """What was asked to be installed.

    Attributes:
        folder: Where it lies.
        id: Of its list.
        fields: The list's, as JSON has them.
        files: Path to its size in bytes and its sha256.
    """

    folder: Path
    id: str
    fields: dict[str, Any]
    files: dict[str, tuple[int, str]]

    @property
    def name(self) -> str:
        """Version and id, for people."""
        return f"{self.fields['version']} ({self.id})"

    def below(self, folder: str) -> dict[str, str]:
        """Return the paths that begin with a folder's, and their sha256."""
        return {path: each[1] for path, each in self.files.items() if path.startswith(f"{folder}/")}

    def verify(self) -> None:
        """Compare each file with the list.

        Raises:
            BoardError: One is missing, is no plain file, or differs; or there is a wheel more,
                which pip would choose among the others, whoever signed the list.
        """
        for path in (self.folder / "wheels").glob("*"):
            if f"wheels/{path.name}" not in self.files:
                raise BoardError(f"{path}: expected only wheels of the list; {REMEDY}")
        for name, (size, digest) in self.files.items():
            path = self.folder / name
            if not files.is_file(path):
                raise BoardError(f"{path}: expected a file, found none; {REMEDY}")
            if (found := path.stat().st_size) != size:
                raise BoardError(f"{path}: expected {size} bytes, found {found}; {REMEDY}")
            for _ in files.chunks(path, expected=digest):
                pass


@contextmanager
def opened(place: Place, path: Path, *, must_be_signed: bool = False) -> Iterator[Bundle]:
    """Open a bundle, a folder or a .tar; who signed it is checked before anything is unpacked.

    Args:
        place: Of whose signers.
        path: Of the bundle.
        must_be_signed: Also where the board names no signers.
    """
    if path.is_dir():
        text = _bounded(path / MANIFEST)
        bundle = parse(path.absolute(), text)
        signatures.check(place, path, text, must=must_be_signed)
        yield bundle
        return
    scratch = place.opt / f"bundle{files.SCRATCH}"
    files.make_folder(place.opt)
    files.discard(scratch)
    try:
        yield _unpacked(place, path, scratch, must=must_be_signed)
    finally:
        files.discard(scratch)


def parse(folder: Path, text: bytes) -> Bundle:
    """Return the bundle whose list this is.

    Raises:
        BoardError: The list is none, or names what no bundle may hold.
    """
    where = folder / MANIFEST
    try:
        fields = json.loads(text)
        listed = {each["path"]: (each["bytes"], each["sha256"]) for each in fields["files"]}
        kinds = {"version": str, "profile": str, "machine": str, "python": list}
        wrong = [key for key, kind in kinds.items() if not isinstance(fields[key], kind)]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BoardError(
            f"{where}: expected the list of a bundle, found: {error!r}; {REMEDY}"
        ) from error
    if fields.get("schema_version") != 1:
        found = fields.get("schema_version")
        raise BoardError(f"{where}: expected schema_version 1, found {found!r}; {REMEDY}")
    for path, (size, digest) in listed.items():
        is_safe = isinstance(path, str) and SAFE.fullmatch(path)
        is_sound = isinstance(size, int) and re.fullmatch("[0-9a-f]{64}", str(digest))
        if wrong or not is_safe or not is_sound or size < 0:
            raise BoardError(
                f"{where}: {(wrong or [path])[0]!r} is not as a bundle has it; {REMEDY}"
            )
    return Bundle(folder, sha256(text).hexdigest()[:ID_LENGTH], fields, listed)


def _bounded(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_MANIFEST_BYTES)
    except OSError as error:
        raise BoardError(
            f"{path}: expected the list of a bundle, found: {error.strerror}; name a folder or a "
            ".tar that `edge-board bundle` made"
        ) from error


def _unpacked(place: Place, path: Path, scratch: Path, *, must: bool) -> Bundle:
    try:
        with tarfile.open(path, "r:") as archive:
            members = {each.name.removeprefix("./"): each for each in archive if each.isreg()}
            # Its own folder may stand above all.
            top = next((n[: -len(MANIFEST)] for n in members if n.split("/")[-1] == MANIFEST), "")
            for name in (MANIFEST, SIGNATURE):
                if top + name in members:
                    _extract(
                        archive, members[top + name], scratch / name, most_bytes=MOST_MANIFEST_BYTES
                    )
            text = _bounded(scratch / MANIFEST)
            bundle = parse(scratch, text)
            signatures.check(place, scratch, text, must=must)
            if sum(size for size, _ in bundle.files.values()) > MOST_BYTES:
                raise BoardError(
                    f"{path}: expected up to {MOST_BYTES >> 30} GiB, its list has more"
                )
            for name, (size, _) in bundle.files.items():
                if top + name in members:  # else `verify` says so
                    _extract(archive, members[top + name], scratch / name, most_bytes=size)
    except tarfile.TarError as error:
        raise BoardError(f"{path}: expected a bundle, a .tar, found: {error}; {REMEDY}") from error
    except OSError as error:
        if error.filename and Path(error.filename) != path:
            raise
        raise BoardError(f"{path}: expected a bundle, found: {error.strerror}; {REMEDY}") from error
    return bundle


def _extract(
    archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path, *, most_bytes: int
) -> None:
    if member.size > most_bytes:
        raise BoardError(
            f"{member.name}: expected {most_bytes} bytes, found {member.size}; {REMEDY}"
        )
    reader = archive.extractfile(member)
    assert reader is not None  # noqa: S101 - a regular file
    files.write_new(path, iter(lambda: reader.read(files.CHUNK_BYTES), b""))
