"""Label files come from everywhere: how large they may be, how they are encoded, who reads them."""

from __future__ import annotations

import codecs
import importlib
from typing import TYPE_CHECKING, Any

from edge.errors import DependencyError, SourceError

if TYPE_CHECKING:
    from pathlib import Path

# A VOC file of 1,000 objects has 400 kB. Parsing may take a hundred times as much memory.
MAX_FILE_BYTES = 4 * 2**20
# What is installed under another name than it is imported by.
PACKAGES = {"PIL": "Pillow", "yaml": "PyYAML"}
# Notepad and PowerShell write these first.
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def library(module: str) -> Any:  # noqa: ANN401
    """Import a module of the extra `eval`, which a board does without."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise DependencyError(
            f"{PACKAGES.get(name, name)} is needed to measure a model, and is not installed; type: "
            "pip install 'edge-vision[eval]'"
        ) from error


def read_bytes(path: Path) -> bytes:
    """Return what a file holds."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}; check the path") from error
    if len(data) > MAX_FILE_BYTES:
        raise SourceError(f"{path}: expected at most {MAX_FILE_BYTES} bytes; split the file")
    return data


def encoding_of(data: bytes) -> str:
    """Return the encoding that a byte order mark or a zero byte tells; empty where nothing does."""
    for mark, encoding in MARKS.items():
        if data.startswith(mark):
            return encoding
    return {b"\0": "utf-16-be"}.get(data[:1], "utf-16-le" if data[1:2] == b"\0" else "")


def read_text(path: Path) -> str:
    """Return the text of a file: UTF-8, or UTF-16 as Windows writes it."""
    data = read_bytes(path)
    try:
        return data.decode(encoding_of(data) or "utf-8")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: expected text in UTF-8: {error}; save it as UTF-8") from error
