import numpy as np
import pytest
from drawn_nets import net_of, nets
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.prune.channels import MULTIPLE, TILE, WIDE, channels
from converter.prune.cutting import pruned
from converter.prune.measures import macs
from converter.prune.planning import Costs, counts, halves
from converter.prune.searching import Ladder, plan


def ladders_of(found, seed):
    """Return for each group ever fewer channels, and errors that rise, drawn at random."""
    random = np.random.default_rng(seed)
    made = {}
    for name, group in found.groups.items():
        steps = (len(group), *counts(len(group)))
        kept = tuple(np.arange(len(group)) < count for count in steps)
        errors = np.cumsum([0.0, *random.uniform(0, 1, len(steps) - 1)])
        made[name] = Ladder(kept, tuple(errors))
    return made


def costs_of(found):
    return Costs(found, macs(found.graph), macs(pruned(found, halves(found))))


def error_of(ladders, kept):
    return sum(
        ladder.errors[[row.sum() for row in ladder.kept].index(kept[name].sum())]
        for name, ladder in ladders.items()
        if name in kept
    )


@given(st.integers(1, 600))
def test_counts_fall_and_are_multiples(channels_):
    found = counts(channels_)
    assert list(found) == sorted(set(found), reverse=True)
    assert all(count % MULTIPLE == 0 and 0 < count < channels_ for count in found)
    assert bool(found) is (channels_ > MULTIPLE)


@given(st.integers(WIDE, 600))
def test_of_many_channels_whole_tiles_of_the_kernels_stay(channels_):
    assert all(count % TILE == 0 for count in counts(channels_))


@given(st.integers(MULTIPLE + 1, 600))
def test_a_quarter_of_the_channels_stays(channels_):
    assert counts(channels_)[-1] * 4 >= channels_


def test_of_few_channels_finer_steps_stay():
    assert counts(WIDE - MULTIPLE) == (48, 40, 32, 24, 16)
    assert counts(WIDE) == (48, 32, 16)


@given(nets(), st.integers(0, 9), st.lists(st.floats(0.05, 1.0), min_size=2, max_size=2))
@settings(max_examples=25, deadline=None)
def test_a_plan_meets_its_target_or_takes_all_and_who_asks_for_less_loses_no_more(
    graph, seed, parts
):
    found = channels(graph)
    ladders, costs = ladders_of(found, seed), costs_of(found)
    errors = []
    for part in sorted(parts):
        kept = plan(ladders, costs, left=costs.whole * part)
        stays = {name: kept.get(name, ladder.kept[0]) for name, ladder in ladders.items()}
        is_met = costs.left([mask.mean() for mask in stays.values()]) <= costs.whole * part
        is_all = all((mask == ladders[name].kept[-1]).all() for name, mask in stays.items())
        assert is_met or is_all
        assert all(mask.sum() % MULTIPLE == 0 for mask in kept.values())
        errors.append(error_of(ladders, kept))
    assert errors[0] >= errors[1]


def test_what_is_left_is_what_the_cut_graph_has():
    found = channels(net_of("plain", "depthwise", "joined"))
    kept = {name: np.arange(len(group)) < 8 for name, group in found.groups.items()}
    left = costs_of(found).left([mask.mean() for mask in kept.values()])
    assert sum(macs(pruned(found, kept)).values()) == pytest.approx(left)


def test_the_group_goes_that_costs_the_least_for_what_it_saves():
    found = channels(net_of("plain", "plain"))
    costs = costs_of(found)
    ladders = {
        name: Ladder((np.ones(len(group), bool), np.arange(len(group)) < 8), (0.0, error))
        for (name, group), error in zip(found.groups.items(), (1.0, 1e-3, 1.0), strict=True)
    }
    assert list(plan(ladders, costs, left=costs.whole * 0.99)) == [list(found.groups)[1]]


def test_what_half_of_the_channels_does_not_save_is_taken_to_stay():
    found = channels(net_of("plain"))
    whole = macs(found.graph)
    first = found.graph.ops[0].output
    costs = Costs(found, whole, macs(pruned(found, halves(found))) | {first: whole[first]})
    left = costs.left([0.5] * len(found.groups))
    usual = costs_of(found).left([0.5] * len(found.groups))
    assert left - usual == pytest.approx(whole[first] / 2)
