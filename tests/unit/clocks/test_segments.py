"""Samples of a concatenation and seconds of real time, against pieces looked up one by one."""

from __future__ import annotations

import numpy as np
import pytest

from labdata.clocks import SegmentAxis, place_segments
from labdata.errors import ClockError

RATE_HZ = 30_000.123456


@pytest.fixture
def axis() -> SegmentAxis:
    """Three pieces of one run, the acquisition started again, one piece of another run."""
    return place_segments(
        [30_000, 45_000, 3, 60_000],
        [120, 200_120, 245_120, 7],
        ["a", "a", "a", "b"],
        [1000.0, 1006.0, 1008.0, 1060.0],
        RATE_HZ,
    )


def one_by_one(axis, sample):
    for k in reversed(range(axis.n_segments)):
        if sample >= axis.offset_samples[k] or k == 0:
            return axis.start_s[k] + (sample - axis.offset_samples[k]) / axis.sampling_rate_hz


def test_pieces_of_a_run_are_placed_by_the_device_and_runs_by_their_files(axis):
    np.testing.assert_array_equal(axis.offset_samples, [0, 30_000, 75_000, 75_003])
    np.testing.assert_allclose(axis.start_s[:3], np.array([0, 200_000, 245_000]) / RATE_HZ)
    assert axis.start_s[3] == 60.0
    np.testing.assert_array_equal(axis.epoch, [0, 0, 0, 1])
    assert (axis.epoch.dtype, axis.offset_samples.dtype) == (np.int16, np.int64)
    np.testing.assert_allclose(axis.pauses_s[:2] * RATE_HZ, [170_000, 0], atol=1e-6)
    assert (axis.n_segments, axis.total_samples) == (4, 135_003)


def test_seconds_of_samples_are_those_of_their_piece(axis):
    samples = np.r_[-5, 0, 29_999, 30_000, 74_999, 75_000, 75_002, 75_003, 135_002, 140_000]
    wanted = [one_by_one(axis, s) for s in samples]
    np.testing.assert_allclose(axis.to_seconds(samples), wanted, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(axis.segment_of(samples), [0, 0, 0, 1, 1, 2, 2, 3, 3, 3])
    assert axis.to_seconds(30_000).shape == ()
    assert axis.to_seconds(samples.reshape(2, 5)).shape == (2, 5)


def test_there_and_back_for_every_sample(axis):
    samples = np.random.default_rng(0).permutation(axis.total_samples)
    back = axis.to_samples(axis.to_seconds(samples))
    np.testing.assert_array_equal(np.rint(back).astype(np.int64), samples)
    np.testing.assert_allclose(back, samples, atol=1e-5)


def test_a_time_in_a_pause_has_no_sample(axis):
    found = axis.to_samples([1.5, 6.0, 30.0, 59.99, 60.0, 100.0, -1.0])
    np.testing.assert_array_equal(np.isnan(found), [True, True, True, True, False, False, False])
    assert found[4] == 75_003
    assert found[6] == pytest.approx(-RATE_HZ)


def test_one_piece_is_what_it_always_was():
    axis = place_segments([10**9], [123_456], ["run"], [5.0], RATE_HZ)
    samples = np.random.default_rng(1).integers(0, 10**9, 10_000)
    np.testing.assert_array_equal(axis.to_seconds(samples), samples / RATE_HZ)
    assert (axis.start_s.tolist(), axis.epoch.tolist()) == ([0.0], [0])


def test_a_run_that_seems_to_begin_within_a_second_of_the_end_begins_at_the_end():
    axis = place_segments([30_000, 30_000], [0, 0], ["a", "b"], [0.0, 0.0], 30_000.0)
    np.testing.assert_array_equal(axis.start_s, [0, 1])
    with pytest.raises(ClockError, match=r"Segment 1 begins at 0\.000000 s"):
        place_segments([90_000, 30_000], [0, 0], ["a", "b"], [0.0, 0.0], 30_000.0)


@pytest.mark.parametrize(
    ("first", "runs", "message"),
    [
        ([0, 0, 0], "aaa", "before segment 0 ends"),  # not told, or the same file twice
        ([0, 900, 500], "aaa", "before segment 1 ends"),
        ([0, 500, 900], "aba", "do not follow one another"),
    ],
)
def test_pieces_that_cannot_be_placed_are_refused(first, runs, message):
    with pytest.raises(ClockError, match=message):
        place_segments([100, 100, 100], first, list(runs), [0.0, 1.0, 2.0], 100.0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"offset_samples": np.array([0, 5])}, "do not begin at"),
        ({"n_samples": np.array([10, 0])}, "do not begin at"),
        ({"epoch": np.array([0], np.int16)}, "all four values"),
        ({"sampling_rate_hz": 0.0}, "not positive"),
    ],
)
def test_an_axis_that_contradicts_itself_is_refused(changed, message):
    right = {
        "offset_samples": np.array([0, 10]),
        "n_samples": np.array([10, 10]),
        "start_s": np.array([0.0, 5.0]),
        "epoch": np.array([0, 0], np.int16),
        "sampling_rate_hz": 10.0,
    }
    SegmentAxis(**right)
    with pytest.raises(ClockError, match=message):
        SegmentAxis(**right | changed)
    with pytest.raises(ClockError, match="at least one segment"):
        place_segments([], [], [], [], 10.0)
