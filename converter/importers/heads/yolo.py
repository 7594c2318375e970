"""YOLO heads: raw grids and what a decode behind them says, from v2 to v11 and YOLOX."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from converter.draft import Draft
from converter.importers.heads.anchors import agree, anchor_groups
from converter.importers.heads.decoding import Decode, ask, recognise
from converter.importers.heads.fields import (
    BOX_AND_OBJECTNESS,
    MAX_ANCHORS,
    PARTS,
    Fields,
    Part,
    parts_of,
)
from converter.importers.heads.raw import by_grid, cut_at, is_splittable, raw_heads, split, tail_of
from edge.decode.anchor_free import AnchorFreeGrid, AnchorFreeHead
from edge.decode.boxes import BOX_SIDES
from edge.decode.yolo import YoloGrid, YoloHead
from edge.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.choice import Choice
    from converter.graph.values import Graph
    from converter.importers.heads.decoding import Beside
    from converter.importers.heads.raw import Tail
    from edge.model.description import HeadSchema

    Grids = dict[tuple[int, int], list[str]]

COMBINED, SPLIT, DECOUPLED = 1, 2, 3  # convolutions a grid
# Of a side, in heads of distributions; fewer boxes of 4 numbers are the anchors of an SSD.
MIN_BINS = 8


def find_yolo(graph: Graph, path: Path, choice: Choice) -> Draft:
    """Return a YOLO up to its raw grids, with boxes, objectness and scores apart.

    Raises:
        ConfigError: The file does not say its anchors and the person does not, or says others.
        ModelError: The last convolutions form no such head, or the decode behind is not known.
    """
    return found_at(graph, *read_yolo(graph, path, choice))


def read_yolo(
    graph: Graph, path: Path, choice: Choice, *, beside: Beside | None = None
) -> tuple[Fields, Decode]:
    """Return where boxes, objectness and scores stand, and their decode; raises as `find_yolo`.

    With what a box has `beside` them the decode must stand in the file.
    """
    grids = by_grid(graph, raw_heads(graph), path)
    counts = {len(names) for names in grids.values()}
    if len(counts) != 1 or not counts <= {COMBINED, SPLIT, DECOUPLED}:
        shapes = "; ".join(f"{len(names)} on {h} x {w} cells" for (h, w), names in grids.items())
        raise ModelError(
            f"{path}: expected a YOLO head, 1 to 3 last convolutions on each grid, found "
            f"{shapes or 'none'}; give a detector of YOLOv2 to v11 or YOLOX"
        )
    tail = tail_of(graph, [name for names in grids.values() for name in names])
    found = _decoded(graph, grids, tail, path=path, beside=beside)
    if found is None and (beside or not tail.is_raw):
        ends = ", ".join(f"{name!r} {graph.shape(name)}" for name in tail.ends)
        raise ModelError(
            f"{path}: expected the decode of YOLOv2 to v11 or YOLOX behind the last convolutions"
            f"{f', {beside.kind} beside' if beside else ''}, found another one, which ends in "
            f"{ends or 'nothing'}; export the model "
            f"{'as its own exporter does' if beside else 'without its box decoding'}"
        )
    fields, decode = found or _undecoded(graph, grids, path=path, choice=choice)
    if found is not None and decode.anchors_px and choice.anchors is not None:
        agree(path, decode.anchors_px, choice.anchors)
    return fields, decode


def _decoded(
    graph: Graph, grids: Grids, tail: Tail, *, path: Path, beside: Beside | None
) -> tuple[Fields, Decode] | None:
    """Return the reading of the grids with which the tail's answers are a decode that is known."""
    if not tail.ends:
        return None
    for fields in _readings(graph, grids, [graph.shape(n) for n in tail.ends], beside=beside):
        answers = ask(fields, tail, path)
        decode = None if answers is None else recognise(fields, answers)
        if decode is None or answers is None:
            continue
        found = beside and beside.read(fields, answers)
        if beside is None or found is not None:
            return fields, replace(decode, beside=found)
    return None


def _readings(
    graph: Graph, grids: Grids, ends: list[tuple[int, ...]], *, beside: Beside | None = None
) -> Iterator[Fields]:
    """Yield what the channels may be, the likeliest first."""
    channels = [[graph.shape(name)[3] for name in names] for names in grids.values()]
    if len(channels[0]) == COMBINED:
        cells = [height * width for height, width in grids]
        for anchors in range(1, MAX_ANCHORS + 1):
            rows = {anchors * count for count in (sum(cells), *cells)}
            if any(rows & set(shape) or (len(shape) > BOX_SIDES and anchors in shape)
                   for shape in ends):  # fmt: skip
                yield from _combined(graph, grids, anchors, beside=beside)
        return
    kinds = PARTS if len(channels[0]) == DECOUPLED else ("boxes", "scores")
    if beside:
        kinds = ("boxes", "scores", beside.kind)
    if len(kinds) != len(channels[0]):
        return
    for order in permutations(range(len(kinds))):
        sizes = [dict(zip(kinds, (row[place] for place in order), strict=True)) for row in channels]
        boxes = {size["boxes"] for size in sizes}
        if len(boxes) > 1 or boxes.pop() % BOX_SIDES or len({row["scores"] for row in sizes}) > 1:
            continue
        if any(size.get("objectness", 1) != 1 for size in sizes):
            continue
        if beside and (
            len({s[beside.kind] for s in sizes}) > 1 or not beside.fits(sizes[0][beside.kind])
        ):
            continue
        yield _apart(
            graph, grids, [(kind, place) for kind, place in zip(kinds, order, strict=True)]
        )


def _combined(
    graph: Graph, grids: Grids, anchors: int, *, beside: Beside | None = None
) -> Iterator[Fields]:
    """Read one tensor a grid, where so many anchors fit."""
    names = {name: graph.shape(name)[3] for (name,) in grids.values()}
    sizes = {divmod(channels, anchors) for channels in names.values()}
    if len(sizes) > 1 or any(rest for _, rest in sizes):
        return
    ((each, _),) = sizes
    room = range(1, each - BOX_AND_OBJECTNESS) if beside else ()
    widths = [{beside.kind: width} for width in room if beside and beside.fits(width)]
    for more in widths if beside else [{}]:
        if each - sum(more.values()) > BOX_AND_OBJECTNESS:
            parts = (parts_of(n, size, anchors=anchors, more=more) for n, size in names.items())
            yield Fields(tuple(parts), tuple(grids), _input_wh(graph), anchors)


def _apart(graph: Graph, grids: Grids, places: list[tuple[str, int]]) -> Fields:
    """Read a tensor for boxes, one for scores (YOLOv6, v8 to v11) and one between them (YOLOX)."""
    parts = tuple(
        {
            kind: Part(names[place], np.arange(graph.shape(names[place])[3])[None])
            for kind, place in places
        }
        for names in grids.values()
    )
    return Fields(parts, tuple(grids), _input_wh(graph))


def _undecoded(graph: Graph, grids: Grids, *, path: Path, choice: Choice) -> tuple[Fields, Decode]:
    """Read grids whose decode stands in no file: the person says the anchors, or there are none."""
    if any(len(names) == COMBINED for names in grids.values()):
        groups = anchor_groups(path, choice.anchors, grids=len(grids))
        fields = next(_combined(graph, grids, len(groups[0])), None)
        if fields is None or len({len(group) for group in groups}) > 1:
            shapes = ", ".join(str(graph.shape(name)) for (name,) in grids.values())
            raise ConfigError(
                f"{path}: the channels of {shapes} are not {len(groups[0])} anchors with 5 "
                "numbers and the classes each; check --anchors"
            )
        return fields, Decode("anchors", anchors_px=groups)
    fields = next(iter(_readings(graph, grids, [])), None)
    if fields is None or 1 < fields.bins < MIN_BINS:
        shapes = ", ".join(str(graph.shape(name)) for names in grids.values() for name in names)
        raise ModelError(
            f"{path}: expected boxes of 4 channels, or of 4 times at least {MIN_BINS} bins, beside "
            f"the scores of each grid, found {shapes}; export the model with its decode"
        )
    kind = "distribution" if fields.bins > 1 else "distances"
    return fields, Decode("center_exp" if "objectness" in fields.parts[0] else kind)  # type: ignore[arg-type]


def found_at(
    graph: Graph, fields: Fields, decode: Decode, *, others: Mapping[str, str] | None = None
) -> Draft:
    """Return the graph up to the fields, each a role of its own where the weights allow.

    Args:
        graph: The whole.
        fields: Where each part stands.
        decode: Of them.
        others: Role to tensor of further outputs.
    """
    outputs: dict[str, str] = {}
    sources: dict[str, tuple[str, NDArray[np.intp] | None]] = {}
    rows: list[dict[str, str]] = []
    for number, parts in enumerate(fields.parts):
        roles = {kind: f"{kind}{number}" for kind in parts}
        (first, *rest) = {part.tensor for part in parts.values()}
        if rest:
            outputs |= {roles[kind]: part.tensor for kind, part in parts.items()}
        elif is_splittable(graph, first):
            names = {kind: f"{first}/{kind}" for kind in parts}
            graph = split(
                graph, first, {names[kind]: part.channels.ravel() for kind, part in parts.items()}
            )
            outputs |= {roles[kind]: names[kind] for kind in parts}
        else:
            roles = dict.fromkeys(roles, f"grid{number}")
            outputs[f"grid{number}"] = first
            sources[f"grid{number}"] = (first, None)
        rows.append(roles)
        for kind, part in parts.items():
            sources.setdefault(roles[kind], (part.tensor, part.channels.ravel()))
    for role, name in (others or {}).items():
        outputs[role], sources[role] = name, (name, None)
    return Draft(cut_at(graph, outputs), _head(fields, decode, rows), sources=sources)


def _head(fields: Fields, decode: Decode, rows: list[dict[str, str]]) -> HeadSchema:
    rows = [{kind: role for kind, role in roles.items() if kind in PARTS} for roles in rows]
    if decode.boxes == "anchors":
        return YoloHead(
            grids=tuple(
                YoloGrid(**roles, anchors_px=anchors, scale_xy=scale)
                for roles, anchors, scale in zip(
                    rows, decode.anchors_px, decode.scales_xy or (1.0,) * len(rows), strict=True
                )
            ),
            sides=decode.sides,
            classes=decode.classes,
        )
    strides = [fields.input_wh[0] // width for _, width in fields.sizes_hw]
    return AnchorFreeHead(
        grids=tuple(
            AnchorFreeGrid(**roles, stride_px=stride)
            for roles, stride in zip(rows, strides, strict=True)
        ),
        boxes=decode.boxes,
        bins=fields.bins,
    )


def _input_wh(graph: Graph) -> tuple[int, int]:
    _, height, width, _ = graph.shape(graph.inputs[0])
    return width, height
