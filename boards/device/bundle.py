"""A bundle: what a release is made of, listed with sizes and digests, in a folder or one .tar."""

from __future__ import annotations

import json
import os
import re
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from boards.device import files, signatures
from boards.device.signatures import MANIFEST, SIGNATURE
from edge.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from boards.device.place import Place

ID_LENGTH = 12
# Far over the list of any bundle, and over what a card has room for.
MOST_MANIFEST_BYTES, MOST_BYTES, MOST_MEMBERS = 4 << 20, 4 << 30, 10_000
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
            BoardError: One is missing, is no plain file, or differs; or there is a wheel more, of
                which nobody who signed the list knows.
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
def opened(place: Place, path: Path, *, is_asked: bool = False) -> Iterator[Bundle]:
    """Open a bundle, a folder or a .tar; who signed it is checked before anything is unpacked.

    Args:
        place: Of whose signers.
        path: Of the bundle.
        is_asked: The service asked for it: it must be signed, and be a plain file, whose contents
            cannot change once they were compared.
    """
    if path.is_dir() and not is_asked:
        text = _bounded(path / MANIFEST)
        bundle = parse(path.absolute(), text)
        signatures.check(place, path, text)
        yield bundle
        return
    if not os.path.lexists(path):
        raise BoardError(
            f"{path}: expected a bundle, a folder or a .tar, found none; check how it is written"
        )
    scratch = place.opt / f"bundle{files.SCRATCH}"
    files.make_folder(place.opt)
    files.discard(scratch)
    try:
        with _tar(path if is_asked else path.resolve()) as archive:
            bundle = _unpacked(place, archive, scratch, must=is_asked)
        yield bundle
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
        kinds: dict[str, type] = {"version": str, "profile": str, "machine": str, "python": list}
        kinds["created_utc"] = str
        wrong = [key for key, kind in kinds.items() if not isinstance(fields[key], kind)]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        odd = "what is no JSON" if isinstance(error, ValueError) else "another one"
        raise BoardError(
            f"{where}: expected the list of a bundle, found {odd}; {REMEDY}"
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


class _Pieces:
    """A file that is read in small pieces: a header of a .tar may say that it has gigabytes.

    Contents are sought before each piece; a header is not, and Python 3.14 reads it in pieces.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.tell, self._unsought = file, file.tell, 0

    def seek(self, offset: int) -> int:
        self._unsought = 0
        return self._file.seek(offset)

    def read(self, size: int) -> bytes:
        self._unsought += size
        if size < 0 or self._unsought > files.CHUNK_BYTES:
            raise tarfile.ReadError("a part of it is too large")
        return self._file.read(size)


@contextmanager
def _tar(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with files.plain(path) as file:
            pieces: Any = _Pieces(file)
            with tarfile.open(fileobj=pieces, mode="r:") as archive:
                yield archive
    except tarfile.TarError as error:
        raise BoardError(f"{path}: expected a bundle, a .tar, found: {error}; {REMEDY}") from error


def _unpacked(place: Place, archive: tarfile.TarFile, scratch: Path, *, must: bool) -> Bundle:
    """Unpack a .tar, whose first file is its list, and whose second is the list's signature."""
    members = _members(archive)
    first, member = next(members, ("", None))
    if member is None or first.split("/")[-1] != MANIFEST:
        raise BoardError(
            f"expected a bundle's {MANIFEST} as the first file of the .tar, found "
            f"{first or 'none'}; pack it with `edge-board bundle --tar`, or tar --sort=name"
        )
    _extract(archive, member, scratch / MANIFEST, most_bytes=MOST_MANIFEST_BYTES)
    text = _bounded(scratch / MANIFEST)
    bundle = parse(scratch, text)
    top = first.removesuffix(MANIFEST)  # its own folder may stand above all
    left = {top + name: size for name, (size, _) in bundle.files.items()}
    name, member = next(members, ("", None))
    if name == top + SIGNATURE and member:
        _extract(archive, member, scratch / SIGNATURE, most_bytes=MOST_MANIFEST_BYTES)
        name, member = next(members, ("", None))
    signatures.check(place, scratch, text, must=must)
    if (total := sum(left.values())) > MOST_BYTES:
        raise BoardError(f"expected a bundle of up to {MOST_BYTES >> 30} GiB, its list has more")
    place.need_room(total)
    while left and member:  # what is missing then, `verify` says
        if name not in left:
            raise BoardError(f"{name}: expected only files of the bundle's list; {REMEDY}")
        _extract(archive, member, scratch / name.removeprefix(top), most_bytes=left.pop(name))
        name, member = next(members, ("", None))
    return bundle


def _members(archive: tarfile.TarFile) -> Iterator[tuple[str, tarfile.TarInfo]]:
    for count, member in enumerate(archive):
        if count > MOST_MEMBERS:
            raise BoardError(f"expected a bundle of up to {MOST_MEMBERS} files, found more")
        if member.isreg():
            yield member.name.removeprefix("./"), member


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
