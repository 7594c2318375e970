import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.results.class_map import ClassMap

pytestmark = pytest.mark.board

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))


def random_map(shape, seed):
    ids = np.random.default_rng(seed).integers(0, 3, (shape[0], shape[1] + 2), np.uint8)
    return ClassMap(ids[:, 1:-1], (640, 360))  # a view between bars, as a decoder gives it


@given(SHAPES, st.integers(0, 99))
def test_runs_are_the_cells_row_by_row(shape, seed):
    seen = random_map(shape, seed)
    runs = seen.runs()
    assert (runs.class_ids.repeat(runs.lengths) == seen.class_ids.reshape(-1)).all()
    assert (runs.class_ids[1:] != runs.class_ids[:-1]).all()
    assert (runs.lengths >= 1).all()


@given(SHAPES, st.integers(0, 99))
def test_areas_are_shares_of_the_cells(shape, seed):
    seen = random_map(shape, seed)
    ratios = seen.area_ratios(5)
    assert ratios.tolist() == pytest.approx([(seen.class_ids == each).mean() for each in range(5)])
    assert ratios.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("cells", "step", "kept"),
    [(8, 2, [1, 3, 5, 7]), (9, 2, [0, 2, 4, 6, 8]), (8, 4, [2, 6]), (3, 4, [1]), (1, 2, [0])],
)
def test_a_coarse_map_keeps_the_cells_at_the_centres(cells, step, kept):
    ids = np.tile(np.arange(cells, dtype=np.uint8), (cells, 1))
    coarse = ClassMap(ids, (640, 360)).coarse(step)
    assert coarse.class_ids.tolist() == [kept] * len(kept)
    assert coarse.size_wh == (640, 360)


def test_a_copy_does_not_change_with_the_decoders_buffer():
    seen = random_map((4, 4), 1)
    kept, before = seen.copy(), seen.class_ids.tolist()
    seen.class_ids[:] = 7
    assert kept.class_ids.tolist() == before
