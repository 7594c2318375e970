import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.decode.scores import Flags

pytestmark = pytest.mark.board


@given(st.lists(st.booleans(), min_size=1, max_size=200))
def test_positions_are_those_that_numpy_finds(values):
    flags = Flags(len(values))
    flags.each[:] = values
    assert flags.positions().tolist() == np.flatnonzero(values).tolist()
    flags.each[:] = False
    assert flags.positions().tolist() == []
