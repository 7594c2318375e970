"""What is given for a model, or for a file of its weights, by mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Of a file, by which it is recognised.
HEAD_BYTES = 64
# Shorter is no model of any format.
LEAST_BYTES = 16
TEXTS = (".json", ".cfg")
# What it is, to how its first bytes tell.
POINTERS: dict[str, Callable[[bytes], bool]] = {
    "a pointer of Git LFS, which stands for the file; type: git lfs pull": (
        lambda head: head.startswith(b"version https://git-lfs")
    ),
    "a web page; download the file itself": (
        lambda head: head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html"))
    ),
}
# Two bytes, which weights may begin with as well.
PICKLE = "a Python pickle, which runs code when it is loaded; export the model first"


def refuse_lookalike(head: bytes, path: Path) -> None:
    """Name what is no model, whatever its suffix.

    Args:
        head: Its first `HEAD_BYTES`.
        path: For messages.

    Raises:
        ModelError: It is no model; the message says what it is.
    """
    refuse_pointer(head, path)
    found = ""
    if head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        found = PICKLE
    elif len(head) < LEAST_BYTES and path.suffix.lower() not in TEXTS:
        found = f"{len(head)} bytes; copy or download it again"
    if found:
        raise ModelError(f"{path}: expected a float model, found {found}")


def refuse_pointer(head: bytes, path: Path, what: str = "a float model") -> None:
    """Name what stands in a file's place, of a model or of its weights; as `refuse_lookalike`."""
    found = next((text for text, fits in POINTERS.items() if fits(head)), None)
    if found:
        raise ModelError(f"{path}: expected {what}, found {found}")
