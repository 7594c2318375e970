"""Read a folder of VOC XML files, one an image, as LabelImg and its kin write them."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING
from xml.parsers import expat

from edge.errors import SourceError
from edge.evaluation.boxes import BoxGatherer, upright_size_wh
from edge.evaluation.faults import ABSENT, Faults

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.evaluation.truth import BoxTruth

SIDES = ("xmin", "ymin", "xmax", "ymax")
# An annotation of 1,000 objects has 400 kB.
MAX_FILE_BYTES = 16 * 2**20
# annotation, object, part, bndbox, xmin: ours have five levels at most.
MAX_DEPTH = 32

Corners = tuple[float, float, float, float]


class _Object:
    """One object of a file: what stands directly in it and in its own box, by tag."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}


def read(folder: Path, images: Sequence[Path]) -> BoxTruth:
    """Read the annotations of these images.

    Corners are taken as written, as LabelImg writes them: pixels' edges, counted from 0. Objects
    marked `difficult` neither count when found nor when missed, as in VOC; the judge's word for
    that is crowd.

    Args:
        folder: Of XML files; searched in its subfolders too.
        images: Met by the file's `filename`, or else by the XML file's own name.

    Raises:
        SourceError: No file fits an image.

    Source: Everingham et al. 2010, "The PASCAL Visual Object Classes Challenge".
    """
    by_name = {path.name: path for path in reversed(images)}
    by_stem = {path.stem: path for path in reversed(images)}
    faults = Faults()
    gatherer = BoxGatherer(faults)
    names: dict[str, int] = {}
    seen: set[Path] = set()
    for path in sorted(folder.rglob("*.xml")):
        try:
            filename, objects = parse(path)
            image = by_name.get(filename) or by_stem.get(path.stem)
            if image is None:
                faults.add(ABSENT, path.name)
                continue
            if image in seen:
                faults.add("images annotated twice, the second left out", path.name)
                continue
            size_wh = upright_size_wh(image)
        except SourceError as error:
            faults.add("files that cannot be read, left out", str(error))
            continue
        seen.add(image)
        number = gatherer.add_image(image, size_wh)
        for position, found in enumerate(objects, start=1):
            _add(gatherer, found, names, place=(number, size_wh, f"{path.name} object {position}"),
                 faults=faults)  # fmt: skip
    if not seen:
        raise SourceError(
            f"{folder}: expected annotations of the images, found none of their names; "
            "choose the folder that belongs to the images"
        )
    return gatherer.truth(folder, {number: name for name, number in names.items()})


def parse(path: Path) -> tuple[str, list[_Object]]:
    """Return a file's `filename`, without folders, and its objects.

    Raises:
        SourceError: It cannot be read, is no VOC annotation, or declares entities.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}; check the path") from error
    if len(data) > MAX_FILE_BYTES:
        raise SourceError(f"{path}: expected at most {MAX_FILE_BYTES} bytes; split the file")
    reader = _Reader(path)
    try:
        reader.parser.Parse(data, True)  # noqa: FBT003 - expat knows it by place only
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise SourceError(f"{path}: expected XML, found none: {error}; write it again") from error
    if reader.root != "annotation":
        raise SourceError(
            f"{path}: expected a VOC <annotation>, found <{reader.root}>; take it out of the folder"
        )
    return PureWindowsPath(reader.filename.strip()).name, reader.objects


class _Reader:
    """Walks one file. A document type is refused: with none, nothing can expand or be fetched."""

    def __init__(self, path: Path) -> None:
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.root = ""
        self.filename = ""
        self.objects: list[_Object] = []
        self._path = path
        self._tags: list[str] = []

    def _refuse(self, *_: object) -> None:
        raise SourceError(
            f"{self._path}: expected plain XML, found a document type, which could hold entities; "
            "remove its <!DOCTYPE …>"
        )

    def _start(self, tag: str, _: dict[str, str]) -> None:
        self.root = self.root or tag
        self._tags.append(tag)
        if len(self._tags) > MAX_DEPTH:
            raise SourceError(f"{self._path}: its elements are nested over {MAX_DEPTH} deep")
        if self._tags[1:] == ["object"]:
            self.objects.append(_Object())

    def _end(self, _: str) -> None:
        self._tags.pop()

    def _text(self, text: str) -> None:
        inner = self._tags[1:]
        if inner == ["filename"]:
            self.filename += text
        elif inner[:1] == ["object"] and self.objects:
            key = "/".join(inner[1:])
            texts = self.objects[-1].texts
            texts[key] = texts.get(key, "") + text


def _add(
    gatherer: BoxGatherer,
    found: _Object,
    names: dict[str, int],
    *,
    place: tuple[int, tuple[int, int], str],
    faults: Faults,
) -> None:
    number, size_wh, where = place
    name, corners = found.texts.get("name", "").strip(), _corners(found)
    if not name or corners is None:
        faults.add("objects without name or box, left out", where)
        return
    gatherer.add_box(
        number,
        names.setdefault(name, len(names) + 1),
        corners,
        size_wh=size_wh,
        name=where,
        is_crowd=found.texts.get("difficult", "").strip() == "1",
    )


def _corners(found: _Object) -> Corners | None:
    try:
        x_min, y_min, x_max, y_max = (float(found.texts[f"bndbox/{side}"]) for side in SIDES)
    except (KeyError, ValueError):
        return None
    return x_min, y_min, x_max, y_max
