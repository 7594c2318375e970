"""Plans hold to their budget, stay inside the frame, sweep in time, and are always the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config.sections import Regions
from edge.regions.plan import Planner, Region

pytestmark = pytest.mark.board

INPUT_WH = (300, 300)
LAG = 4
STILL = np.zeros((54, 96), np.bool_)
NOTHING = np.zeros((0, 4), np.float32), np.zeros(0, np.bool_)


def moving(*patches):
    """Return motion in these patches of cells: first row, first column, rows, columns."""
    cells = STILL.copy()
    for row, column, rows, columns in patches:
        cells[row : row + rows, column : column + columns] = True
    return cells


def planner(**changes):
    return Planner(Regions(**changes), input_wh=INPUT_WH, lag=LAG)


PATCHES = st.lists(
    st.tuples(st.integers(0, 53), st.integers(0, 95), st.integers(1, 30), st.integers(1, 50)),
    max_size=6,
)
FRAMES = st.lists(st.tuples(PATCHES, st.booleans(), st.integers(0, 5)), min_size=1, max_size=60)
SIZES = st.tuples(st.integers(2, 4000), st.integers(2, 3000))


def plans(frames, size_wh, *, rate_hz=30, budget=1.3, sweep_s=0.5, told=True):
    """Return the plan of each frame, where what is known are boxes in some places of the frame."""
    planner = Planner(
        Regions(invokes_per_frame=budget, sweep_s=sweep_s), input_wh=INPUT_WH, lag=LAG
    )
    made = []
    for number, (patches, is_all, known) in enumerate(frames):
        motion = moving(*patches) if not is_all else ~STILL
        plan = planner.plan(motion, size_wh, number / rate_hz)
        made.append(plan)
        if plan and told:
            corners = np.linspace(0.1, 0.8, known)[:, None] * size_wh
            boxes = np.hstack([corners, corners + np.array(size_wh) / 9]).astype(np.float32)
            planner.tell(plan.number, boxes, np.arange(known) % 2 == 0)
    return made


@settings(max_examples=60, deadline=None)
@given(frames=FRAMES, size_wh=SIZES, budget=st.floats(0.05, 4))
def test_the_budget_is_never_exceeded(frames, size_wh, budget):
    spent, most = 0, int(np.ceil(budget)) + 1

    for number, plan in enumerate(plans(frames, size_wh, budget=budget), 1):
        count = len(plan.looks) if plan else 0
        spent += count
        assert count <= most
        assert spent <= budget * number + max(0, 1 - budget) + 1e-3


@settings(max_examples=60, deadline=None)
@given(frames=FRAMES, size_wh=SIZES)
def test_every_region_lies_inside_the_frame_and_on_even_pixels(frames, size_wh):
    whole = Region(0, 0, *size_wh)

    for plan in filter(None, plans(frames, size_wh)):
        assert len(set(plan.looks)) == len(plan.looks)
        for region in plan.looks:
            assert region.x >= 0 <= region.y
            assert region.width > 0 < region.height
            assert region.x + region.width <= size_wh[0]
            assert region.y + region.height <= size_wh[1]
            assert region == whole or not any(
                side % 2 for side in (region.x, region.y, region.width, region.height)
            )


@settings(max_examples=60, deadline=None)
@given(frames=FRAMES, size_wh=SIZES, budget=st.floats(1, 3), sweep_s=st.floats(0.1, 2))
def test_the_whole_frame_is_looked_at_in_time(frames, size_wh, budget, sweep_s):
    whole, last_s = Region(0, 0, *size_wh), 0.0

    for number, plan in enumerate(plans(frames, size_wh, budget=budget, sweep_s=sweep_s)):
        if plan and whole in plan.looks:
            assert plan.looks[0] == whole
            last_s = number / 30
        assert number / 30 - last_s < sweep_s


@settings(max_examples=30, deadline=None)
@given(frames=FRAMES, size_wh=SIZES, budget=st.floats(0.1, 3))
def test_same_frames_same_plans(frames, size_wh, budget):
    first, second = (plans(frames, size_wh, budget=budget) for _ in range(2))

    assert [plan and plan.looks for plan in first] == [plan and plan.looks for plan in second]


@settings(max_examples=30, deadline=None)
@given(frames=FRAMES, early=st.lists(st.integers(0, LAG - 1), min_size=60, max_size=60))
def test_results_that_come_sooner_change_no_plan(frames, early):
    """Of a plan's result only that counts which `lag` plans later is there for certain."""

    def looks(delays):
        planner = Planner(Regions(), input_wh=INPUT_WH, lag=LAG)
        waiting, made = [], []
        for number, (patches, _, known) in enumerate(frames):
            plan = planner.plan(moving(*patches), (1920, 1080), number / 30)
            made.append(plan and plan.looks)
            if plan:
                boxes = np.tile(np.float32([40, 40, 90, 90]), (known, 1)) + 300 * known
                waiting.append((plan.number, boxes, np.ones(known, np.bool_)))
            while waiting and waiting[0][0] <= planner._number - 1 - delays[number]:
                planner.tell(*waiting.pop(0))
        return made

    assert looks([LAG - 1] * 60) == looks(early)


def test_a_still_scene_costs_its_sweeps_alone_and_is_told_of_now_and_then():
    made = plans([([], number == 0, 0) for number in range(300)], (1920, 1080), sweep_s=2)

    told = [number for number, plan in enumerate(made) if plan]
    assert [len(made[number].looks) for number in told if made[number].looks] == [1] * 5
    assert np.diff(told).max() <= 15
    assert len(told) == 20


def test_what_moves_is_looked_at_closely_and_at_once():
    watching = planner()
    watching.plan(~STILL, (1920, 1080), 0)

    plan = watching.plan(moving((20, 30, 2, 2)), (1920, 1080), 1 / 30)

    (region,) = plan.looks
    assert region.width < 150
    assert region.x < 600
    assert region.x + region.width > 640
    assert region.y < 400
    assert region.y + region.height > 440


def test_many_things_have_their_turns():
    watching = planner(sweep_s=60)
    watching.plan(~STILL, (3840, 2160), 0)
    motion = moving(
        *[(5 + 15 * row, 5 + 20 * column, 2, 2) for row in range(3) for column in range(4)]
    )

    looked = [watching.plan(motion, (3840, 2160), number / 30).looks for number in range(1, 13)]

    assert len({region for looks in looked for region in looks}) == 12


def test_near_things_share_a_region():
    watching = planner()
    watching.plan(~STILL, (1920, 1080), 0)

    plan = watching.plan(moving((20, 30, 1, 1), (20, 33, 1, 1)), (1920, 1080), 1 / 30)

    assert len(plan.looks) == 1
    assert plan.looks[0].x <= 600
    assert plan.looks[0].x + plan.looks[0].width >= 680


def test_the_region_of_a_moving_leg_shows_the_person():
    watching = planner()
    watching.plan(~STILL, (1920, 1080), 0)
    watching.tell(0, np.float32([[600, 200, 760, 600]]), np.ones(1, np.bool_))
    for number in range(1, LAG + 1):
        plan = watching.plan(moving((27, 32, 2, 2)), (1920, 1080), number / 30)

    (region,) = plan.looks
    assert region.y <= 200
    assert region.y + region.height >= 600


def test_what_rests_and_is_small_is_looked_at_again():
    watching = planner(sweep_s=1)
    watching.plan(~STILL, (1920, 1080), 0)
    looks = []
    for number in range(1, 400):
        plan = watching.plan(moving(), (1920, 1080), number / 30)
        if plan:
            watching.tell(plan.number, np.float32([[600, 200, 630, 230]]), np.ones(1, np.bool_))
            looks += [look for look in plan.looks if look.width < 1920]

    assert 2 <= len(looks) <= 3
    assert looks[0].x < 600
    assert looks[0].x + looks[0].width > 630


def test_a_plan_that_nobody_followed_is_made_again():
    watching = planner()
    plan = watching.plan(~STILL, (1920, 1080), 0)

    watching.take_back(plan)

    assert watching.plan(moving(), (1920, 1080), 1 / 30).looks == plan.looks


def test_a_sweep_that_nobody_followed_forgets_no_closer_look():
    """Else a board that drops frames would look at the first of many things again and again."""
    watching = planner(sweep_s=1)
    watching.plan(~STILL, (3840, 2160), 0)
    motion = moving(*[(5, 5 + 20 * column, 2, 2) for column in range(4)])

    looked = []
    for number in range(30, 64):
        plan = watching.plan(motion, (3840, 2160), number / 30)
        if plan and plan.looks[0].width == 3840:
            watching.take_back(plan)
            watching._swept_s = number / 30  # the next one was followed
        elif plan:
            looked += plan.looks

    assert len(set(looked[:4])) == 4
    for first, second in zip(looked, looked[4:], strict=False):
        assert first == second  # each in its turn


def test_a_clock_that_was_set_back_and_a_frame_of_another_size_begin_anew():
    watching = planner()
    for now_s, size_wh in ((100, (1920, 1080)), (3, (1920, 1080)), (4, (640, 480))):
        plan = watching.plan(moving(), size_wh, now_s)
        assert plan.looks == (Region(0, 0, *size_wh),)
