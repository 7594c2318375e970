"""Label files come from everywhere: how large they may be, how they are encoded, who reads them.

Names of class ids stand beside a data set: one a line, or as the `names` of a YOLO data.yaml.
"""

from __future__ import annotations

import codecs
import importlib
from typing import TYPE_CHECKING, Any

from edge.errors import DependencyError, SourceError
from edge.record import storable

if TYPE_CHECKING:
    from pathlib import Path

    from edge.evaluation.faults import Faults

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

# Where YOLO's tools put them: LabelImg, CVAT and Darknet, and the YAML of the trainers in PyTorch.
NAME_FILES = ("classes.txt", "labels.txt", "names.txt", "obj.names", "data.yaml", "data.yml")
YAML_SUFFIXES = (".yaml", ".yml")
MAX_CLASSES = 100_000
# PyYAML takes 15 s for 1 MiB; the 1,203 names of LVIS have 24 kB.
MAX_YAML_LETTERS = 2**18


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


def names_beside(folder: Path, faults: Faults) -> tuple[str, ...] | None:
    """Return the names in the annotations' folder or in the one above it, or `None` without any.

    Two folders above only YAML counts: that is where `labels/train` has its data.yaml. `faults` is
    told of files that could have held names, and were passed over.
    """
    above = folder.resolve().parent
    for place in (folder, above, above.parent):
        candidates = [place / name for name in NAME_FILES]
        for pattern in ("*.names", "*.yaml", "*.yml"):
            candidates += sorted(place.glob(pattern))
        is_far = place == above.parent
        for path in dict.fromkeys(candidates):
            if not path.is_file() or (is_far and path.suffix not in YAML_SUFFIXES):
                continue
            try:
                return read_names(path)
            except SourceError as error:
                if not is_far or path.name in NAME_FILES:
                    kind = "files beside the annotations without names, passed over"
                    faults.add(kind, str(error))
    return None


def read_names(path: Path) -> tuple[str, ...]:
    """Return the text of each class id.

    Raises:
        SourceError: It cannot be read, or has no names.
    """
    text = read_text(path)
    is_yaml = path.suffix in YAML_SUFFIXES
    names = _of_yaml(text, path) if is_yaml else list(map(str.strip, text.splitlines()))
    while names and not names[-1]:
        names.pop()
    if not names:
        raise SourceError(
            f"{path}: expected the names of the classes, found none; write a classes.txt with "
            "one name a line"
        )
    return tuple(map(storable, names))


def _of_yaml(text: str, path: Path) -> list[str]:
    """Return the entries of `names:`, a list, or a mapping of class id to name."""
    yaml = library("yaml")
    if len(text) > MAX_YAML_LETTERS:
        raise SourceError(f"{path}: expected at most {MAX_YAML_LETTERS} letters; name another file")
    try:
        # This loader makes texts, lists and mappings only: a class `no` is no boolean.
        found = yaml.load(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise SourceError(f"{path}: expected YAML, found none: {reason}; mend the line") from error
    rows: Any = found.get("names") if isinstance(found, dict) else None
    if isinstance(rows, list):
        rows = dict(enumerate(rows))
    if not isinstance(rows, dict) or len(rows) > MAX_CLASSES:
        return []
    by_id = {
        int(number): name.strip()
        for number, name in rows.items()
        if str(number).isdecimal() and isinstance(name, str)
    }
    return [by_id.get(number, "") for number in range(min(max(by_id, default=-1) + 1, MAX_CLASSES))]
