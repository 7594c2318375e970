import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.decode.scores import Flags, Folds

pytestmark = pytest.mark.board


@given(st.lists(st.booleans(), min_size=1, max_size=200))
def test_positions_are_those_that_numpy_finds(values):
    flags = Flags(len(values))
    flags.each[:] = values
    assert flags.positions().tolist() == np.flatnonzero(values).tolist()
    flags.each[:] = False
    assert flags.positions().tolist() == []


@given(
    st.integers(0, 5000),
    st.sampled_from(["int8", "uint8", "int16"]),
    st.lists(st.integers(0, 4999), max_size=40),
)
def test_folds_find_those_that_reach_the_threshold(count, dtype, places):
    values = np.random.default_rng(count).integers(0, 50, count).astype(dtype)
    values[[place for place in places if place < count]] = 50
    folds = Folds(count, np.dtype(dtype))
    for least in (50, 40, 120):  # few, so many that each is flagged, none
        found = folds.positions(values, np.dtype(dtype).type(least))
        assert found.tolist() == np.flatnonzero(values >= least).tolist()
