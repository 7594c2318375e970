"""Read a folder of VOC XML files, one an image, as LabelImg and its kin write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.errors import SourceError
from edge.evaluation.boxes import LabelledBox, gather
from edge.evaluation.faults import Faults
from edge.evaluation.label_files import encoding_of, library, read_bytes
from edge.evaluation.pairing import Claim, ImageIndex
from edge.record import storable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.evaluation.boxes import Corners
    from edge.evaluation.truth import BoxTruth

SIDES = ("xmin", "ymin", "xmax", "ymax")


def read(folder: Path, images: Sequence[Path]) -> BoxTruth:
    """Read the annotations of these images, met by `filename`, or by the XML file's own name.

    Corners are taken as written, as LabelImg writes them: pixels' edges, counted from 0. Objects
    marked `difficult` neither count when found nor when missed, as in VOC; the judge's word for
    that is crowd.

    Source: Everingham et al. 2010, "The PASCAL Visual Object Classes Challenge".
    """
    faults = Faults()
    claims = []
    for path in sorted(folder.rglob("*.xml")):
        try:
            filename, objects = parse(path)
        except SourceError as error:
            faults.add("files that cannot be read, left out", str(error))
            continue
        claims.append(Claim(path, path.name, name=filename, stem=path.stem, content=objects))
    pairs = ImageIndex(images).pair(claims, folder, faults)
    return gather(folder, pairs, lambda claim, _: claim.content, faults=faults)


def parse(path: Path) -> tuple[str, list[LabelledBox]]:
    """Return a file's `filename` and its objects.

    Raises:
        SourceError: It cannot be read, is no VOC annotation, or declares a document type.
    """
    data: bytes | str = read_bytes(path)
    tree = library("defusedxml.ElementTree")
    try:
        if isinstance(data, bytes) and (encoding := encoding_of(data)):
            # Whatever encoding it declares: PowerShell writes UTF-16 and leaves that line alone.
            data = data.decode(encoding)
        root = tree.fromstring(data, forbid_dtd=True)
    except library("defusedxml.common").DefusedXmlException as error:
        raise SourceError(
            f"{path}: expected plain XML, found a document type, which could hold entities; "
            "remove its <!DOCTYPE …>"
        ) from error
    except (tree.ParseError, ValueError, LookupError) as error:
        raise SourceError(f"{path}: expected XML, found none: {error}; write it again") from error
    if root.tag != "annotation":
        raise SourceError(
            f"{path}: expected a VOC <annotation>, found <{root.tag}>; take it out of the folder"
        )
    objects = [
        LabelledBox(
            storable(found.findtext("name", "").strip()),
            _corners(found),
            f"{path.name} object {number}",
            found.findtext("difficult", "").strip() == "1",
        )
        for number, found in enumerate(root.findall("object"), start=1)
    ]
    return root.findtext("filename", "").strip(), objects


def _corners(found: Any) -> Corners | None:  # noqa: ANN401 - an <object>
    try:
        x_min, y_min, x_max, y_max = (float(found.findtext(f"bndbox/{side}")) for side in SIDES)
    except (TypeError, ValueError):
        return None
    return x_min, y_min, x_max, y_max
