"""The manifest: everything the runtime must know of a model, appended to its `.tflite` as a zip.

A FlatBuffer is read from its start and a zip from its end, so one file is both: LiteRT ignores the
zip, and `zipfile` the FlatBuffer. Reading costs 0.6 ms, and the description can't get lost.

The schema version says what a reader must understand to decode. It is raised for that only: a board
that is updated once a year must run what a newer converter makes. So facts for people (fields of
the manifest itself or of its provenance) may come without a new version, and a reader passes over
those that it does not know; of the input, the head and all else it refuses them. Version 2 has the
fields of 1 and two more, `image_sets` and `provenance.steps`, which readers of 1 refused.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta, field

from edge.errors import ModelError
from edge.heads import AnyHead
from edge.model.description import Description, InputTransform, Sight
from edge.model.readers.anchors import anchors_from_bytes, anchors_to_bytes
from edge.record import Finite, PositiveInt, Ratio, Record, Text, Unsound
from edge.record import read as read_record

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

SCHEMA_VERSION: Literal[2] = 2
READ_VERSIONS = (1, SCHEMA_VERSION)
MANIFEST_MEMBER = "manifest.json"
ANCHORS_MEMBER = "anchors.npy"
# The oldest date a zip can hold: the same bytes on every day.
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
# Of the members together, unpacked; the largest head known (25,200 anchors) needs 0.4 MiB.
MAX_MEMBERS_BYTES = 16 * 2**20
# What damaged bytes raise; RuntimeError is an encrypted member, an unknown compression
# (NotImplementedError) or JSON nested too deep (RecursionError).
DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError)


class Calibration(Record, frozen=True, kw_only=True):
    """Which images the activation ranges came from."""

    digest: Text
    images: PositiveInt
    seed: int
    method: Text


class ImageDigests(Record, frozen=True, kw_only=True):
    """A set of images; `contents` are 16 hex digits of each, where others must keep off them."""

    digest: Text
    images: PositiveInt
    contents: tuple[Text, ...] = ()


class Accuracy(Record, frozen=True, kw_only=True):
    """One metric of the float and the quantised model, on images not used for calibration.

    Attributes:
        metric: Such as `mAP50-95`, in [0, 1].
        images: Number of images, N.
        difference: quantised minus float.
        difference_interval: 95 % bootstrap interval of the difference over images.
    """

    metric: Text
    dataset: Text
    images: PositiveInt
    float_value: Ratio
    quantized_value: Ratio
    difference: float
    difference_interval: tuple[float, float]


class Provenance(Record, frozen=True, kw_only=True):
    """Where the weights come from and what was done: `changes` is all `steps`, if any, in one."""

    source: Text
    license: Text
    changes: Text
    recipe: Text
    seed: int
    tools: dict[Text, Text]
    steps: tuple[Text, ...] = ()


class HeadProof(Record, frozen=True, kw_only=True):
    """Of one head, the values for the pattern, real numbers.

    Attributes:
        at: Where in the head, as a flat array.
        values: There.
    """

    at: tuple[Annotated[int, Meta(ge=0)], ...]
    values: tuple[Finite, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.at) != len(self.values):
            raise ValueError(f"proof has {len(self.at)} places and {len(self.values)} values")


class Manifest(Record, frozen=True, kw_only=True):
    """The JSON half of the manifest.

    Attributes:
        digest: `sha256:` and the hex digest of the FlatBuffer before the zip; set by `append`.
        outputs: Output role to tensor name, as the interpreter spells it.
        labels: Text of each class id; the empty string marks an id that the data set never used.
        score_threshold: Default of the runtime; a configuration may say otherwise.
        iou_threshold: Likewise, for suppression.
        image_sets: Of `train`, `calibrate`, `select` and `judge`, those that are known.
        proof: Output role to what `edge.model.proof` compares at start; empty in older files.
        sight: What the calibration images looked like; `None` in older files.
    """

    schema_version: Literal[2] = SCHEMA_VERSION
    name: Text
    digest: Text = ""
    input: InputTransform
    outputs: dict[Text, Text]
    head: AnyHead
    labels: tuple[Text, ...]
    score_threshold: Ratio = 0.5
    iou_threshold: Ratio = 0.6
    calibration: Calibration | None = None
    accuracy: tuple[Accuracy, ...] = ()
    image_sets: dict[Text, ImageDigests] = field(default_factory=dict)
    provenance: Provenance
    proof: dict[Text, HeadProof] = field(default_factory=dict)
    sight: Sight | None = None

    def description(self, anchors: NDArray[np.float32] | None) -> Description:
        """Return what decode needs of it, with the anchors that stand beside it."""
        return Description(
            name=self.name,
            digest=self.digest,
            input=self.input,
            outputs=self.outputs,
            head=self.head,
            labels=self.labels,
            score_threshold=self.score_threshold,
            iou_threshold=self.iou_threshold,
            anchors=anchors,
            sight=self.sight,
        )


def digest_of(data: bytes) -> str:
    """Return `sha256:` and the hex digest."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def append(flatbuffer: bytes, manifest: Manifest, anchors: NDArray[np.float32] | None) -> bytes:
    """Return the bytes of a self-describing model file: the FlatBuffer, then a deterministic zip.

    Args:
        flatbuffer: The bare model.
        manifest: Its `digest` is replaced by the FlatBuffer's.
        anchors: `(A, 4)` float32, or `None`.
    """
    sealed = manifest.replace(digest=digest_of(flatbuffer))
    text = json.dumps(sealed.plain(), indent=1, ensure_ascii=False)
    out = io.BytesIO()
    out.write(flatbuffer)
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as archive:
        _write_member(archive, MANIFEST_MEMBER, text.encode())
        if anchors is not None:
            _write_member(archive, ANCHORS_MEMBER, anchors_to_bytes(anchors))
    return out.getvalue()


def read(path: Path, data: bytes) -> tuple[bytes, Manifest, NDArray[np.float32] | None]:
    """Read and verify a model's bytes; return its FlatBuffer, manifest and anchors.

    Args:
        path: Where they came from, for messages.
        data: A FlatBuffer and what follows it.

    Raises:
        ModelError: Truncated or damaged, or without a manifest.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            flatbuffer = data[: _zip_start(archive)]
            manifest = parse(path, archive.read(MANIFEST_MEMBER))
            anchors = _read_anchors(path, archive)
    except (*DAMAGED, ValueError, RuntimeError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"{path}: expected a manifest behind the model, found none that can be read "
            f"({str(error) or type(error).__name__}); copy the file again, or make it with: "
            "edge-convert run"
        ) from error
    check_digest(path, flatbuffer, manifest)
    return flatbuffer, manifest, anchors


def check_digest(path: Path, model: bytes, manifest: Manifest) -> None:
    """Refuse a model that is not the one that its manifest was made for.

    Raises:
        ModelError: It is another.
    """
    found = digest_of(model)
    if found != manifest.digest:
        raise ModelError(
            f"{path}: the model is damaged: expected {manifest.digest[:19]}…, "
            f"found {found[:19]}…; copy the file again"
        )


def _zip_start(archive: zipfile.ZipFile) -> int:
    """Return where the FlatBuffer ends, once the zip is just what `append` writes."""
    infos = archive.infolist()
    names = [info.filename for info in infos]
    # One flipped bit in the directory renames the anchors, or hides them in a comment: without this
    # the model would pass for one that has none.
    if names not in ([MANIFEST_MEMBER], [MANIFEST_MEMBER, ANCHORS_MEMBER]):
        raise zipfile.BadZipFile(f"its members are {names}")
    if any(info.comment or info.extra for info in infos):
        raise zipfile.BadZipFile("its directory is damaged")
    if sum(info.file_size for info in infos) > MAX_MEMBERS_BYTES:
        raise zipfile.BadZipFile(f"it unpacks to over {MAX_MEMBERS_BYTES} bytes")
    return min(info.header_offset for info in infos)


def parse(path: Path, text: bytes) -> Manifest:
    """Return the manifest of a JSON text.

    Raises:
        ModelError: Of another version, or wrong.
        ValueError: No JSON.
        RecursionError: Nested too deep.
    """
    fields: Any = json.loads(text)
    version = fields.get("schema_version") if isinstance(fields, dict) else None
    if version not in READ_VERSIONS:
        raise ModelError(
            f"{path}: its manifest has schema version {version}, this edge-vision reads "
            f"{' and '.join(map(str, READ_VERSIONS))}; update edge-vision, or convert the model "
            "again"
        )
    fields = _as_current(fields)
    try:
        return read_record(Manifest, fields)
    except Unsound as error:
        raise ModelError(
            f"{path}: its manifest is wrong: {error}; update edge-vision, or convert it again"
        ) from error


def _as_current(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest of any version as one of the current, without facts that it knows not."""
    if fields["schema_version"] == 1:
        return fields | {"schema_version": SCHEMA_VERSION}
    known = {name: fields[name] for name in fields if name in Manifest.__annotations__}
    if isinstance(facts := known.get("provenance"), dict):
        known["provenance"] = {
            name: facts[name] for name in facts if name in Provenance.__annotations__
        }
    return known


def _read_anchors(path: Path, archive: zipfile.ZipFile) -> NDArray[np.float32] | None:
    if ANCHORS_MEMBER not in archive.namelist():
        return None
    try:
        return anchors_from_bytes(archive.read(ANCHORS_MEMBER))
    except ValueError as error:
        raise ModelError(f"{path}: {error}; convert it again") from error


def _write_member(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, ZIP_EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    archive.writestr(info, data)
