"""Motions of constant velocity."""

from __future__ import annotations

import numpy as np
import pytest

from edge.stages import motion

pytestmark = pytest.mark.board


def test_motions_that_were_picked_out_of_others_move_on_as_well():
    motions = motion.begun(np.arange(1.0, 25.0).reshape(2, 2, 6))
    motions[motion.SPEED] = 3
    picked = motions[..., np.array([True, False, True, True, False, True])]
    assert not picked.flags["C_CONTIGUOUS"]
    copied = np.ascontiguousarray(picked)
    for each in (picked, copied):
        motion.predict_inplace(each, 0.1)
    np.testing.assert_array_equal(picked, copied)
    np.testing.assert_allclose(picked[motion.VALUE, 0, 0, 0], 1 + 3 * 0.1 * motion.UNITS_PER_S)
    assert (picked[motion.VALUE_VARIANCE] > 0.01).all()
