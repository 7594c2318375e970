"""The report's pictures: what both models see side by side, and contact sheets of one layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from converter.judge.agreement import FOUND_RATIO
from converter.judge.kinds import KINDS
from converter.judge.sight import Sight
from edge.capture.images import load_image
from edge.draw.lettering import printable
from edge.heads import task_of
from edge.results.detections import Detections, pairwise_iou
from edge.tasks import task_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from converter.conversion import Conversion
    from converter.deliver.report.features import LayerFeatures
    from converter.judge.bill import Bill, ImageRow
    from edge.model.description import Description
    from edge.results.observation import Result
    from edge.terminal.progress import Progress

WORST_COUNT, TYPICAL_COUNT = 4, 2
PARTNER_IOU = 0.5
PANEL_SIDE_PX, STRIP_PX, GAP_PX = 440, 24, 8
JPEG, PNG = (cv2.IMWRITE_JPEG_QUALITY, 85), (cv2.IMWRITE_PNG_COMPRESSION, 9)
# Of a contact sheet.
TILES, COLUMNS = 32, 8
TILE_PX, TILE_GAP_PX, NUMBER_PX = 76, 4, 14
# B G R.
PAPER, INK, GRAY, RED = (255, 255, 255), (40, 40, 40), (128, 128, 128), (60, 60, 230)
RGB = 3


@dataclass(frozen=True, slots=True)
class Picture:
    """A file of the report's folder.

    Attributes:
        file_name: With `.jpg` or `.png`.
        caption: One sentence for people, without what the models' files say.
    """

    file_name: str
    data: bytes
    caption: str


def choose_images(bill: Bill) -> list[tuple[str, ImageRow]]:
    """Return the images worth a look, each with the word for why: `worst` first, then `typical`.

    Typical are those in the middle of what is left, of images on which the float model sees
    something, while there are any.
    """
    rows = sorted(bill.images, key=_disagreement, reverse=True)
    worst = [row for row in rows if _disagreement(row) > 0][:WORST_COUNT]
    rest = [row for row in rows if row not in worst]
    telling = [row for row in rest if not row.is_blank] or rest
    middle = max(0, (len(telling) - TYPICAL_COUNT) // 2)
    typical = telling[middle : middle + TYPICAL_COUNT]
    return [*(("worst", row) for row in worst), *(("typical", row) for row in typical)]


def _disagreement(row: ImageRow) -> float:
    """Return detections lost and new; of masks, their distance."""
    if row.expected or row.extra:
        return row.expected - row.matched + row.extra
    return row.distance


def draw_side_by_side(
    done: Conversion, chosen: Sequence[tuple[str, ImageRow]], *, progress: Progress | None = None
) -> tuple[Picture, ...]:
    """Run both models once more on the chosen images and draw what each sees.

    Raises:
        SourceError: An image cannot be read.
    """
    sights = [Sight(done.reference), Sight(done.quantized)]
    described = [file.description for file in (done.reference, done.quantized)]
    titles = ("float", done.quantized.own_manifest().provenance.recipe)
    pictures = []
    for number, (why, row) in enumerate(chosen, start=1):
        image = load_image(row.path)
        first, second = (sight.look(image).seen for sight in sights)
        shown = _sure(first, second, described[0].score_threshold)
        left, right = (
            _panel(image, seen, own, title=title)
            for seen, own, title in zip(shown, described, titles, strict=True)
        )
        gap = np.full((left.shape[0], GAP_PX, RGB), PAPER, np.uint8)
        data = _encoded(".jpg", np.hstack([left, gap, right]), JPEG)
        caption = f"{why}: {_describe(done.bill, row)}"
        pictures.append(Picture(f"compare-{number:02}.jpg", data, caption))
        if progress:
            progress(number, len(chosen))
    return tuple(pictures)


def _describe(bill: Bill, row: ImageRow) -> str:
    if not bill.kind.counted:
        return f"distance {row.distance:.4f}"
    if row.is_blank:
        return f"the float model sees nothing, {row.extra} new"
    return f"{row.matched} of {row.expected} {' '.join(bill.kind.counted)}, {row.extra} new"


def _sure(first: Result, second: Result, sure: float) -> tuple[Result, Result]:
    """Leave out the unsure detections, but for the partners of sure ones of the other model."""
    if not isinstance(first, Detections) or not isinstance(second, Detections):
        return first, second
    return _selected(first, second, sure), _selected(second, first, sure)


def _selected(own: Detections, other: Detections, sure: float) -> Detections:
    keep = own.scores >= sure  # (N,)
    partners = own.scores >= FOUND_RATIO * sure
    sures = other[other.scores >= sure]
    is_near = pairwise_iou(sures.boxes, own.boxes) >= PARTNER_IOU  # (M, N)
    is_same = sures.class_ids[:, None] == own.class_ids[None]
    keep |= partners & (is_near & is_same).any(axis=0)
    return own[keep]


def _panel(
    image: NDArray[np.uint8], seen: Result, described: Description, *, title: str
) -> NDArray[np.uint8]:
    """Return the image, its longer side `PANEL_SIDE_PX`, with what was seen, below a title.

    Drawn after the resize, so that lines and letters keep their size.
    """
    ratio = PANEL_SIDE_PX / max(image.shape[:2])
    size_wh = [max(1, round(side * ratio)) for side in (image.shape[1], image.shape[0])]
    drawn = cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA).astype(np.uint8)
    scaled = KINDS[task_of(described.head)].placed(seen, ratio, np.zeros(2))
    task_for(described).draw_inplace(drawn, scaled, described)
    strip = np.full((STRIP_PX, drawn.shape[1], RGB), PAPER, np.uint8)
    origin = (2, STRIP_PX - 8)
    cv2.putText(strip, printable(title), origin, cv2.FONT_HERSHEY_SIMPLEX, 0.5, INK, 1, cv2.LINE_AA)
    return np.vstack([strip, drawn])


def draw_layer(layer: LayerFeatures, number: int) -> tuple[Picture, ...]:
    """Return the sheet of a layer's feature maps, and of its filters where they can be seen.

    A filter over many channels is no picture; those over one channel or over the colours are.
    """
    shown = shown_channels(layer)
    sheets = {"maps": [_map_tile(layer.maps[:, :, channel]) for channel in shown]}
    if layer.kernels.shape[-1] in (1, RGB):
        sheets["filters"] = [_kernel_tile(layer.kernels[channel]) for channel in shown]
    what = {"maps": "feature maps", "filters": "filters"}
    return tuple(
        Picture(
            f"layer-{number}-{kind}.png",
            _encoded(".png", _sheet(tiles, shown, dead=set(layer.dead)), PNG),
            f"{what[kind]}, {len(shown)} of {len(layer.spans)} channels",
        )
        for kind, tiles in sheets.items()
    )


def shown_channels(layer: LayerFeatures) -> list[int]:
    """Return at most `TILES` channels: up to half of them dead, the others spread by number."""
    dead = list(layer.dead)[: TILES // 2]
    alive = [channel for channel in range(len(layer.spans)) if channel not in layer.dead]
    room = min(TILES - len(dead), len(alive))
    spread = np.linspace(0, len(alive) - 1, room).round().astype(int) if room else []
    return sorted(dead + [alive[index] for index in spread])


def _map_tile(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return one map `(H, W)` as B G R, its own least value dark and its greatest bright."""
    low, span = float(values.min()), float(np.ptp(values))
    levels = (values - low) * (255 / span) if span else np.zeros_like(values)
    return np.asarray(cv2.applyColorMap(_tile(levels.astype(np.uint8)), cv2.COLORMAP_VIRIDIS))


def _kernel_tile(kernel: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return one kernel `(h, w, 1 or 3)` as an image, zero the middle gray."""
    peak = float(np.abs(kernel).max()) or 1.0
    levels = (kernel / peak * 127 + 128).astype(np.uint8)  # (h, w, I)
    return _tile(np.repeat(levels, RGB, axis=2) if levels.shape[2] == 1 else levels[:, :, ::-1])


def _tile(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    whole = np.ascontiguousarray(levels)
    return np.asarray(cv2.resize(whole, (TILE_PX, TILE_PX), interpolation=cv2.INTER_NEAREST))


def _sheet(
    tiles: Sequence[NDArray[np.uint8]], channels: Sequence[int], *, dead: set[int]
) -> NDArray[np.uint8]:
    """Return the tiles in rows, each below its channel's number, the dead crossed out in red."""
    cells = []
    for tile, channel in zip(tiles, channels, strict=True):
        cell = np.full(
            (TILE_PX + NUMBER_PX + TILE_GAP_PX, TILE_PX + TILE_GAP_PX, RGB), 255, np.uint8
        )
        drawn = tile.copy()
        if channel in dead:
            last = TILE_PX - 1
            cv2.rectangle(drawn, (0, 0), (last, last), RED, 2)
            cv2.line(drawn, (0, 0), (last, last), RED, 1, cv2.LINE_AA)
            cv2.line(drawn, (0, last), (last, 0), RED, 1, cv2.LINE_AA)
        cell[NUMBER_PX : NUMBER_PX + TILE_PX, :TILE_PX] = drawn
        color, font = RED if channel in dead else GRAY, cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(cell, str(channel), (0, NUMBER_PX - 3), font, 0.36, color, 1, cv2.LINE_AA)
        cells.append(cell)
    columns = min(COLUMNS, len(cells))
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % columns)
    return np.vstack([np.hstack(cells[n : n + columns]) for n in range(0, len(cells), columns)])


def _encoded(suffix: str, image: NDArray[np.uint8], options: tuple[int, int]) -> bytes:
    _, data = cv2.imencode(suffix, image, options)
    return data.tobytes()
