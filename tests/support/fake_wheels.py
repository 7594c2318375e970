"""Wheels that hold next to nothing, and heads of native libraries."""

from __future__ import annotations

import struct
import zipfile


def make_wheel(
    folder, name, *, requires=(), tag="py3-none-any", version="1.0", python="", files=()
):
    """Write a wheel that says what it needs and holds these files."""
    folder.mkdir(exist_ok=True)
    stem = f"{name.replace('-', '_')}-{version}"
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"]
    lines += [f"Requires-Dist: {each}\n" for each in requires]
    lines += [f"Requires-Python: {python}\n"] if python else []
    info = f"{stem}.dist-info"
    with zipfile.ZipFile(folder / f"{stem}-{tag}.whl", "w") as packed:
        packed.writestr(f"{info}/METADATA", "".join(lines))
        packed.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
        packed.writestr(f"{info}/RECORD", "")
        for path, data in dict(files).items():
            packed.writestr(path, data)
    return folder / f"{stem}-{tag}.whl"


def library(*alignments):
    """Return the head of a 64-bit ELF file with a segment to load of each alignment."""
    head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 3, 183, 1, 0, 64, 0, 0, 64, 56,
                       len(alignments) + 1, 0, 0, 0)  # fmt: skip
    note = struct.pack("<IIQQQQQQ", 4, 0, 0, 0, 0, 0, 0, 4)
    return (
        head
        + note
        + b"".join(struct.pack("<IIQQQQQQ", 1, 0, 0, 0, 0, 0, 0, each) for each in alignments)
    )
