"""The input buffer, byte for byte, against a naive reference that allocates at every step."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import cv2
import factories
import numpy as np
import pytest
import yuv_pictures
from hypothesis import given
from hypothesis import strategies as st

from edge.frame import Placement
from edge.model.quant import Quant
from edge.preprocess import Preprocessor, pixel_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge.model.description import InputTransform

pytestmark = pytest.mark.board

INPUT_WH = (48, 32)
# mean, std, quantisation and dtype of the input; "xor" is the one whose table is a bare XOR 0x80.
INPUTS = {
    "int8 xor": ((0, 0, 0), (255, 255, 255), Quant(float(np.float32(1 / 255)), -128), "int8"),
    "int8 table": ((123, 116, 103), (58, 57, 57), Quant(float(np.float32(0.0187)), -14), "int8"),
    "int8 saturating": ((128, 128, 128), (64, 64, 64), Quant(0.008, 3), "int8"),
    "uint8": ((123, 116, 103), (58, 57, 57), Quant(float(np.float32(0.0187)), 114), "uint8"),
    "int16": ((123, 116, 103), (58, 57, 57), Quant(8e-5, 0), "int16"),
    "float32": ((123, 116, 103), (58, 57, 57), Quant(), "float32"),
    "float16": ((0, 0, 0), (255, 255, 255), Quant(), "float16"),
}
FRAME_SIZES_WH = {
    "landscape": (64, 36),
    "portrait": (36, 64),
    "the input's own size": INPUT_WH,
    "720p": (1280, 720),
    "one pixel high": (70, 1),
    "one pixel wide": (1, 70),
    "one pixel": (1, 1),
}


def transform_of(case: str, **changes: Any) -> InputTransform:
    mean, std, _, _ = INPUTS[case]
    return factories.input_transform(**{"size_wh": INPUT_WH, "mean": mean, "std": std} | changes)


def preprocessor_of(case: str, transform: InputTransform) -> Preprocessor:
    _, _, quant, dtype = INPUTS[case]
    return Preprocessor(transform, quant=quant, dtype=np.dtype(dtype))


def buffer_of(case: str) -> NDArray[Any]:
    """Return an input buffer that holds garbage."""
    width, height = INPUT_WH
    return np.full((1, height, width, 3), 77, INPUTS[case][3])


def random_image(size_wh: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    width, height = size_wh
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("kind", ["bgr", "grey", "nv12", "yuyv"])
def test_a_grey_model_is_given_the_luma_of_every_format(kind):
    transform = transform_of("float32", color="grey", mean=(10, 0, 0), std=(2, 1, 1))
    colour = transform_of("float32", color="bgr", mean=(0, 0, 0), std=(1, 1, 1))
    picture = yuv_pictures.picture(random_image((64, 48)), kind)
    width, height = INPUT_WH
    grey, bgr = (np.zeros((1, height, width, sides), np.float32) for sides in (1, 3))

    Preprocessor(transform, quant=Quant(), dtype=np.dtype(np.float32)).fill_input(picture, grey)
    Preprocessor(colour, quant=Quant(), dtype=np.dtype(np.float32)).fill_input(picture, bgr)

    blue, green, red = bgr[0].transpose(2, 0, 1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue  # ITU-R BT.601-7, 2.5.1
    np.testing.assert_allclose(grey[0, ..., 0] * 2 + 10, luma, atol=1)


def naive_input(image: NDArray[np.uint8], case: str, transform: InputTransform) -> NDArray[Any]:
    """Return the input tensor by the manifest's formula, in float64, pixel by pixel."""
    _, _, quant, dtype = INPUTS[case]
    placement = Placement.fit(
        (image.shape[1], image.shape[0]), transform.size_wh, resize=transform.resize
    )
    resized = cv2.resize(image, placement.region_wh, interpolation=cv2.INTER_LINEAR)
    if transform.color == "rgb":
        resized = resized[:, :, ::-1]
    width, height = transform.size_wh
    canvas = np.full((height, width, 3), float(transform.padding))
    (x, y), (region_width, region_height) = placement.offset_xy, placement.region_wh
    canvas[y : y + region_height, x : x + region_width] = resized
    real = (canvas - transform.mean) / transform.std
    if np.dtype(dtype).kind == "f":
        return real.astype(dtype)[None]
    info = np.iinfo(dtype)
    q = np.floor(real / quant.scale + quant.zero_point + 0.5)
    return np.clip(q, info.min, info.max).astype(dtype)[None]


@pytest.mark.parametrize("size_wh", FRAME_SIZES_WH.values(), ids=FRAME_SIZES_WH)
@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
@pytest.mark.parametrize("color", ["rgb", "bgr"])
@pytest.mark.parametrize("case", INPUTS)
def test_the_input_equals_the_naive_reference_byte_for_byte(
    case: str, color: str, resize: str, size_wh: tuple[int, int]
) -> None:
    transform = transform_of(case, color=color, resize=resize)
    image = random_image(size_wh)
    out = buffer_of(case)
    before = image.copy()
    placement = preprocessor_of(case, transform).fill_input(image, out)
    assert out.tobytes() == naive_input(image, case, transform).tobytes()
    assert placement == Placement.fit(size_wh, INPUT_WH, resize=resize)
    np.testing.assert_array_equal(image, before)


def planes_of(case: str, wh: tuple[int, int] = INPUT_WH) -> tuple[NDArray[Any], dict[str, Any]]:
    """Return a buffer with its channels first, and what a preprocessor for it is made with."""
    _, _, quant, dtype = INPUTS[case]
    made = {"quant": quant, "dtype": np.dtype(dtype), "channels_first": True}
    return np.full((1, 3, wh[1], wh[0]), 77, dtype), made


@pytest.mark.parametrize("size_wh", FRAME_SIZES_WH.values(), ids=FRAME_SIZES_WH)
@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
@pytest.mark.parametrize("case", INPUTS)
def test_an_input_with_its_channels_first_holds_the_same_numbers(
    case: str, resize: str, size_wh: tuple[int, int]
) -> None:
    transform = transform_of(case, resize=resize)
    image = random_image(size_wh)
    out, made = planes_of(case)
    Preprocessor(transform, **made).fill_input(image, out)
    expected = naive_input(image, case, transform).transpose(0, 3, 1, 2)
    assert out.tobytes() == np.ascontiguousarray(expected).tobytes()


def test_the_table_is_a_bare_xor_only_where_every_channel_is_one() -> None:
    assert preprocessor_of("int8 xor", transform_of("int8 xor"))._is_xor
    assert not preprocessor_of("int8 table", transform_of("int8 table"))._is_xor
    uneven = transform_of("int8 xor", std=(255, 255, 254))
    assert not preprocessor_of("int8 xor", uneven)._is_xor


@pytest.mark.parametrize("case", INPUTS)
@pytest.mark.parametrize("padding", [0, 114, 255])
def test_the_letterbox_bars_have_the_padding_value(case: str, padding: int) -> None:
    transform = transform_of(case, padding=padding)
    _, _, quant, dtype = INPUTS[case]
    out = buffer_of(case)
    preprocessor_of(case, transform).fill_input(random_image((64, 16)), out)
    bar = pixel_table(transform, quant=quant, dtype=np.dtype(dtype))[padding]
    top, bottom = out[0, :10], out[0, 22:]  # 48 x 12 of 48 x 32
    np.testing.assert_array_equal(top, np.broadcast_to(bar, top.shape))
    np.testing.assert_array_equal(bottom, np.broadcast_to(bar, bottom.shape))


@pytest.mark.parametrize("case", ["int8 xor", "int8 table", "float32"])
def test_a_new_frame_size_or_buffer_in_mid_stream_leaves_nothing_of_the_old(case: str) -> None:
    transform = transform_of(case)
    preprocessor = preprocessor_of(case, transform)
    buffers = [buffer_of(case), buffer_of(case)]
    stream = [((64, 36), 0), ((36, 64), 0), ((36, 64), 1), ((64, 36), 1), ((64, 36), 0)]
    for seed, (size_wh, number) in enumerate(stream):
        image = random_image(size_wh, seed)
        preprocessor.fill_input(image, buffers[number])
        assert buffers[number].tobytes() == naive_input(image, case, transform).tobytes()


def rows_of_a_larger(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the same pixels as a crop, whose rows lie apart."""
    larger = np.zeros((image.shape[0] + 2, image.shape[1] + 5, 3), np.uint8)
    crop = larger[1:-1, 2:-3]
    crop[:] = image
    return crop


def sealed(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    image.flags.writeable = False
    return image


@pytest.mark.parametrize("make", [rows_of_a_larger, sealed], ids=["a crop", "read-only"])
def test_a_frame_may_be_a_crop_or_read_only(
    make: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
) -> None:
    transform = transform_of("int8 xor")
    image = random_image((64, 36))
    out = buffer_of("int8 xor")
    preprocessor_of("int8 xor", transform).fill_input(make(image.copy()), out)
    assert out.tobytes() == naive_input(image, "int8 xor", transform).tobytes()


@pytest.mark.parametrize("layout", ["channels last", "channels first"])
@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
@pytest.mark.parametrize("case", INPUTS)
def test_frames_of_one_size_make_no_array(case: str, resize: str, layout: str) -> None:
    size_wh = (300, 300)
    transform = transform_of(case, size_wh=size_wh, resize=resize)
    preprocessor = preprocessor_of(case, transform)
    out = np.empty((1, 300, 300, 3), INPUTS[case][3])
    if layout == "channels first":
        out, made = planes_of(case, size_wh)
        preprocessor = Preprocessor(transform, **made)
    image = random_image((640, 360))
    preprocessor.fill_input(image, out)
    tracemalloc.start()
    before_bytes = tracemalloc.get_traced_memory()[0]
    preprocessor.fill_input(image, out)
    peak_bytes = tracemalloc.get_traced_memory()[1] - before_bytes
    tracemalloc.stop()
    assert peak_bytes < 4096  # one row of the input has 900


# Quanta of an int8 input whose range is that of pixels: a level of 255 each.
MEAN_QUANTA, MOST_QUANTA = 0.75, 20


@pytest.mark.parametrize("size_wh", [(64, 36), (640, 360), (1280, 720)])
@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
@pytest.mark.parametrize("kind", ["nv12", "yuyv", "grey"])
@pytest.mark.parametrize("case", ["int8 xor", "int8 table", "float32"])
def test_a_picture_in_a_cameras_format_fills_as_the_whole_of_it_converted_would(
    case: str, kind: str, resize: str, size_wh: tuple[int, int]
) -> None:
    transform = transform_of(case, resize=resize)
    _, _, quant, dtype = INPUTS[case]
    # Neighbouring pixels of a camera are alike.
    image = cv2.resize(random_image((9, 5)), size_wh, interpolation=cv2.INTER_CUBIC)
    picture = yuv_pictures.picture(image, kind)
    out, expected = buffer_of(case), buffer_of(case)

    placement = preprocessor_of(case, transform).fill_input(picture, out)

    preprocessor = preprocessor_of(case, transform)
    assert placement == preprocessor.fill_input(yuv_pictures.whole(picture), expected)
    difference = np.abs(out.astype(float) - expected)
    level = 1 if case == "int8 xor" else 1 / 57 / (quant.scale if dtype == "int8" else 1)
    assert difference.mean() <= MEAN_QUANTA * level
    assert difference.max() <= MOST_QUANTA * level


@pytest.mark.parametrize("kind", ["bgr", "nv12", "yuyv", "grey"])
def test_pictures_of_one_size_and_format_make_no_array(kind: str) -> None:
    transform = transform_of("int8 xor", size_wh=(300, 300))
    preprocessor = preprocessor_of("int8 xor", transform)
    out = np.empty((1, 300, 300, 3), np.int8)
    picture = yuv_pictures.picture(random_image((1280, 720)), kind)
    preprocessor.fill_input(picture, out)
    tracemalloc.start()
    before_bytes = tracemalloc.get_traced_memory()[0]
    preprocessor.fill_input(picture, out)
    peak_bytes = tracemalloc.get_traced_memory()[1] - before_bytes
    tracemalloc.stop()
    assert peak_bytes < 4096


channels = st.tuples(*[st.floats(0, 255)] * 3), st.tuples(*[st.floats(0.5, 255)] * 3)


@given(*channels, st.floats(2.0**-10, 1, width=32), st.integers(-128, 127))
def test_the_table_is_the_formula_to_the_nearest_quantum(
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    scale: float,
    zero_point: int,
) -> None:
    transform = factories.input_transform(mean=mean, std=std)
    table = pixel_table(transform, quant=Quant(scale, zero_point), dtype=np.dtype(np.int8))
    for channel in range(3):
        steps = (np.arange(256) - mean[channel]) / std[channel] / scale + zero_point
        error = np.abs(np.clip(steps, -128, 127) - table[:, channel])
        assert error.max() <= 0.5 + 2.0**-13
