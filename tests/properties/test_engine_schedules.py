"""Schedules stay within their bounds, begin and end where they say, and go the way they say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvlab.engine import schedules

shares = st.floats(0, 1)


@given(shares, shares)
def test_cosine_falls_from_one_to_its_end(progress, end):
    assert end - 1e-12 <= schedules.cosine(progress, end) <= 1 + 1e-12
    assert schedules.cosine(0.0, end) == pytest.approx(1)
    assert schedules.cosine(1.0, end) == pytest.approx(end)
    assert schedules.cosine(progress, end) >= schedules.cosine(min(1.0, progress + 0.1), end) - 1e-12


@given(shares, st.integers(1, 9), shares, shares)
def test_cyclic_stays_between_its_foot_and_its_envelope(progress, cycles, low, decay):
    factor = schedules.cyclic(progress, cycles, low, decay)
    peak = low + (1 - low) * decay ** min(int(progress * cycles), cycles)
    assert low - 1e-9 <= factor <= peak + 1e-9
    assert schedules.cyclic(0.0, cycles, low, decay) == pytest.approx(low)
    assert schedules.cyclic(1.0, cycles, low, decay) == pytest.approx(low)
    assert schedules.cyclic(0.5 / cycles, cycles, low, decay) == pytest.approx(1)


@given(shares, st.lists(shares, max_size=5), shares)
def test_steps_fall_at_milestones_only(progress, milestones, gamma):
    assert 0 <= schedules.step(progress, milestones, gamma) <= 1
    assert schedules.step(1.0, milestones, gamma) == pytest.approx(gamma ** len(milestones))
    assert schedules.step(progress, milestones, gamma) >= schedules.step(1.0, milestones, gamma)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_warm_up_rises_to_one(step, steps):
    factor = schedules.warm_up(step, steps)
    assert 0 < factor <= 1
    assert (factor == 1) == (step + 1 >= steps)
    assert schedules.warm_up(0, steps) == (1 / steps if steps else 1)


@pytest.mark.parametrize("name", sorted(schedules.SCHEDULES))
@given(progress=shares)
def test_every_schedule_with_a_name_is_a_fraction(name, progress):
    assert 0 <= schedules.SCHEDULES[name](progress) <= 1
