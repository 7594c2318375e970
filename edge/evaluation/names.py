"""Names of class ids beside a data set: one a line, or the `names` of a YOLO data.yaml."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.errors import SourceError
from edge.evaluation.label_files import library, read_text
from edge.record import storable

if TYPE_CHECKING:
    from pathlib import Path

    from edge.evaluation.faults import Faults

# Where YOLO's tools put them: LabelImg, CVAT and Darknet, and the YAML of the trainers in PyTorch.
FILES = ("classes.txt", "labels.txt", "names.txt", "obj.names", "data.yaml", "data.yml")
YAML_SUFFIXES = (".yaml", ".yml")
MAX_CLASSES = 100_000
# PyYAML takes 15 s for 1 MiB; the 1,203 names of LVIS have 24 kB.
MAX_YAML_LETTERS = 2**18


def beside(folder: Path, faults: Faults) -> tuple[str, ...] | None:
    """Return the names in the annotations' folder or in the one above it, or `None` without any.

    Two folders above only YAML counts: that is where `labels/train` has its data.yaml. `faults` is
    told of files that could have held names, and were passed over.
    """
    above = folder.resolve().parent
    for place in (folder, above, above.parent):
        candidates = [place / name for name in FILES]
        for pattern in ("*.names", "*.yaml", "*.yml"):
            candidates += sorted(place.glob(pattern))
        is_far = place == above.parent
        for path in dict.fromkeys(candidates):
            if not path.is_file() or (is_far and path.suffix not in YAML_SUFFIXES):
                continue
            try:
                return read(path)
            except SourceError as error:
                if not is_far or path.name in FILES:
                    kind = "files beside the annotations without names, passed over"
                    faults.add(kind, str(error))
    return None


def read(path: Path) -> tuple[str, ...]:
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
