"""Names of class ids beside a data set: one a line, or the `names` of a YOLO data.yaml."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edge.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

# Where YOLO's tools put them: LabelImg, CVAT and Darknet, and the YAML of the trainers in PyTorch.
FILES = ("classes.txt", "labels.txt", "names.txt", "obj.names", "data.yaml", "data.yml")
MAX_CLASSES = 100_000


def find(folder: Path) -> Path | None:
    """Return the file of names in a folder or in the one above it, or `None`."""
    for place in (folder, folder.resolve().parent):
        candidates = [place / name for name in FILES]
        candidates += sorted(place.glob("*.names")) + sorted(place.glob("*.yaml"))
        for path in candidates:
            if path.is_file():
                return path
    return None


def read(path: Path) -> tuple[str, ...]:
    """Return the text of each class id.

    Raises:
        SourceError: It cannot be read, or has no names.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}; check the path") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: expected names in UTF-8: {error}; save it as UTF-8") from error
    is_yaml = path.suffix in {".yaml", ".yml"}
    names = _of_yaml(text) if is_yaml else tuple(line.strip() for line in text.splitlines())
    while names and not names[-1]:
        names = names[:-1]
    if not names:
        raise SourceError(
            f"{path}: expected the names of the classes, found none; write a classes.txt with "
            "one name a line"
        )
    return names


def _of_yaml(text: str) -> tuple[str, ...]:
    """Return the entries of `names:`; the little of YAML that such files use, and no more.

    A list on one line, a list of one a line, or a mapping of class id to name in either form.
    """
    start = re.search(r"^names[ \t]*:[ \t]*(.*)$", text, re.MULTILINE)
    if start is None:
        return ()
    inline = _uncommented(start[1])
    if inline[:1] in ("[", "{"):
        closing = "]" if inline[0] == "[" else "}"
        body = text[start.start(1) + 1 :].partition(closing)[0]
        lines = [part for line in body.splitlines() for part in _split(_uncommented(line))]
        return _entries(lines)
    lines = []
    for line in text[start.end() :].splitlines():
        if line.strip() and line[0] not in " \t-#":
            break
        lines.append(_uncommented(line).removeprefix("-").strip())
    return _entries(lines)


def _entries(lines: list[str]) -> tuple[str, ...]:
    entries = [line.strip() for line in lines if line.strip()]
    pairs = [re.fullmatch(r"(\d{1,5})\s*:\s*(.*)", entry) for entry in entries]
    if not all(pairs):
        return tuple(_unquoted(entry) for entry in entries)
    by_id = {int(pair[1]): _unquoted(pair[2]) for pair in pairs if pair}
    return tuple(by_id.get(number, "") for number in range(max(by_id, default=-1) + 1))


def _split(line: str) -> list[str]:
    return re.findall(r"""(?:"[^"]*"|'[^']*'|[^,])+""", line)


def _uncommented(line: str) -> str:
    return re.sub(r"(^|\s)#.*", "", line).strip()


def _unquoted(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text
