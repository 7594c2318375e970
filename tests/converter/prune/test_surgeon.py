import numpy as np
import pytest
from drawn_nets import SHAPE, net_of

from converter.prune.channels import channels
from converter.prune.reading import moments, readers
from converter.prune.surgeon import RIDGE, Sheet, Uneven, taken


@pytest.fixture(scope="module")
def seen():
    """One group of a graph's channels, its reader, and the moments of what that multiplies."""
    found = channels(net_of("plain"))
    random = np.random.default_rng(0)
    inputs = [[random.normal(0, 1, SHAPE).astype(np.float32)] for _ in range(8)]
    (reader, _) = readers(found)
    group = next(iter(found.groups.values()))
    return group, reader, moments(found, [reader], inputs)[reader]


def least_squares(reader, seen, kept):
    """Return the weights of the rows that stay, and the error, by one solve of all of them."""
    size = len(seen.covariance)
    whole = seen.covariance.astype(float) + np.eye(size) * RIDGE * np.trace(seen.covariance) / size
    weights = reader.weights.astype(float)
    left = np.zeros_like(weights)
    left[kept] = np.linalg.solve(whole[np.ix_(kept, kept)], whole[kept] @ weights)
    gone = weights - left
    return left, np.trace(gone.T @ whole @ gone) / np.trace(weights.T @ whole @ weights)


def rows_of(reader, group, mask):
    return np.isin(reader.ids, group.ids[mask])


def test_the_cost_of_a_channel_is_the_error_of_least_squares_without_it(seen):
    group, reader, moments_ = seen
    sheet = Sheet(reader, moments_, group)
    costs = sheet.costs(np.arange(len(group)))
    for channel in (0, 7):
        mask = np.arange(len(group)) != channel
        _, error = least_squares(reader, moments_, rows_of(reader, group, mask))
        assert costs[channel] == pytest.approx(error, rel=1e-2)


def test_weights_that_are_left_are_those_of_least_squares(seen):
    group, reader, moments_ = seen
    sheet = Sheet(reader, moments_, group)
    (mask,) = taken(group, [sheet], [8])
    assert mask.sum() == 8
    kept = rows_of(reader, group, mask)
    wanted, _ = least_squares(reader, moments_, kept)
    made = sheet.values(kept)[reader.op.inputs[1]]
    found = made.reshape(len(made), -1).T
    np.testing.assert_allclose(found, wanted[kept], atol=2e-3)


def test_the_least_channel_goes_first(seen):
    group, reader, moments_ = seen
    sheet = Sheet(reader, moments_, group)
    least = int(np.argmin(sheet.costs(np.arange(len(group)))))
    (mask,) = taken(group, [sheet], [len(group) - 1])
    assert np.flatnonzero(~mask).tolist() == [least]


def test_a_reader_of_other_channels_tells_nothing(seen):
    _, reader, moments_ = seen
    other = list(channels(net_of("plain")).groups.values())[1]
    with pytest.raises(Uneven):
        Sheet(reader, moments_, other)
