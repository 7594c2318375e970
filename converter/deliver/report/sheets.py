"""Contact sheets of one layer: its filters and its feature maps, the dead ones crossed out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from converter.deliver.report.contents import Picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from converter.deliver.report.contents import LayerFeatures

TILES = 32
COLUMNS = 8
TILE_PX = 76
GAP_PX = 4
NUMBER_PX = 14
GRAY = (128, 128, 128)
RED = (60, 60, 230)  # B G R
PAPER = (255, 255, 255)
RGB = 3


def draw_layer(layer: LayerFeatures, number: int) -> tuple[Picture, ...]:
    """Return the sheet of a layer's feature maps, and of its filters where they can be seen.

    A filter over many channels is no picture; those over one channel or over the colours are.
    """
    shown = shown_channels(layer)
    count = f"{len(shown)} of {len(layer.spans)}"
    maps = _sheet([_map_tile(layer.maps[:, :, channel]) for channel in shown], layer, shown)
    pictures = [Picture(f"layer-{number}-maps.png", _png(maps), f"feature maps, {count} channels")]
    if layer.kernels.shape[-1] in (1, RGB):
        tiles = [_kernel_tile(layer.kernels[channel]) for channel in shown]
        data = _png(_sheet(tiles, layer, shown))
        pictures.append(Picture(f"layer-{number}-filters.png", data, f"filters, {count} channels"))
    return tuple(pictures)


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
    tile = cv2.resize(levels, (TILE_PX, TILE_PX), interpolation=cv2.INTER_NEAREST)
    return cv2.applyColorMap(tile.astype(np.uint8), cv2.COLORMAP_VIRIDIS).astype(np.uint8)


def _kernel_tile(kernel: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return one kernel `(h, w, 1 or 3)` as an image, zero the middle gray."""
    peak = float(np.abs(kernel).max()) or 1.0
    levels = (kernel / peak * 127 + 128).astype(np.uint8)  # (h, w, I)
    colors = np.repeat(levels, RGB, axis=2) if levels.shape[2] == 1 else levels[:, :, ::-1]
    tile = cv2.resize(
        np.ascontiguousarray(colors), (TILE_PX, TILE_PX), interpolation=cv2.INTER_NEAREST
    )
    return tile.astype(np.uint8)


def _sheet(
    tiles: Sequence[NDArray[np.uint8]], layer: LayerFeatures, channels: Sequence[int]
) -> NDArray[np.uint8]:
    columns = min(COLUMNS, len(tiles))
    step_x, step_y = TILE_PX + GAP_PX, TILE_PX + NUMBER_PX + GAP_PX
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * step_y, columns * step_x, 3), PAPER, np.uint8)
    for place, (tile, channel) in enumerate(zip(tiles, channels, strict=True)):
        y, x = place // columns * step_y, place % columns * step_x
        cell = sheet[y + NUMBER_PX : y + NUMBER_PX + TILE_PX, x : x + TILE_PX]
        cell[:] = tile
        color = RED if channel in layer.dead else GRAY
        if channel in layer.dead:
            cross_out_inplace(cell)
        cv2.putText(
            sheet, str(channel), (x, y + NUMBER_PX - 3), cv2.FONT_HERSHEY_SIMPLEX, 0.36, color, 1,
            cv2.LINE_AA,
        )  # fmt: skip
    return sheet


def cross_out_inplace(cell: NDArray[np.uint8]) -> None:
    """Draw a red frame and cross over `(H, W, 3)`, a view into the sheet."""
    drawn = np.ascontiguousarray(cell)
    last = (cell.shape[1] - 1, cell.shape[0] - 1)
    cv2.rectangle(drawn, (0, 0), last, RED, 2)
    cv2.line(drawn, (0, 0), last, RED, 1, cv2.LINE_AA)
    cv2.line(drawn, (0, last[1]), (last[0], 0), RED, 1, cv2.LINE_AA)
    cell[:] = drawn


def _png(image: NDArray[np.uint8]) -> bytes:
    _, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    return data.tobytes()
