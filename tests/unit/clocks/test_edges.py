import numpy as np
import pytest

from labdata.clocks import remove_glitches, select_onsets
from labdata.errors import ClockError


def both_edges(onsets, width=0.5):
    times = np.sort(np.concatenate([onsets, onsets + width]))
    return times, np.tile([1, 0], len(onsets))


def test_rises_are_the_onsets_of_a_stream_that_logs_both_edges():
    onsets = np.arange(10) + 0.25
    times, values = both_edges(onsets)
    np.testing.assert_array_equal(select_onsets(times, values), onsets)


def test_a_stream_that_begins_high_starts_with_a_fall():
    times, values = both_edges(np.arange(10) + 0.25)
    np.testing.assert_array_equal(select_onsets(times[1:], values[1:]), np.arange(1, 10) + 0.25)


@pytest.mark.parametrize("values", [None, np.ones(5, int), np.full(5, True), np.full(5, 255)])
def test_a_stream_that_logs_onsets_only_keeps_them_all(values):
    np.testing.assert_array_equal(select_onsets(np.arange(5.0), values), np.arange(5.0))


def test_only_falls_are_refused():
    with pytest.raises(ClockError, match="5 edges are falls"):
        select_onsets(np.arange(5.0), np.zeros(5))


@pytest.mark.parametrize(
    ("times", "values", "message"),
    [
        ([0, 2, 1], None, "go backwards at position 2"),
        ([0, np.nan, 1], None, "nan at position 1"),
        ([[0, 1]], None, "2 dimensions"),
        ([0, 1, 2], [1, 0], "3 edge times but the values have shape"),
    ],
)
def test_malformed_edges_are_refused_with_the_place(times, values, message):
    with pytest.raises(ClockError, match=message):
        select_onsets(times, values)


def test_narrow_pulses_are_handed_back_as_glitches():
    onsets = np.arange(100) + 0.25
    noise = np.array([3.9, 17.05, 80.99])
    times = np.concatenate([both_edges(onsets)[0], noise, noise + 0.002])
    values = np.concatenate([both_edges(onsets)[1], np.ones(3, int), np.zeros(3, int)])
    order = np.argsort(times)
    found = remove_glitches(times[order], values[order])
    np.testing.assert_array_equal(found.onsets_s, onsets)
    np.testing.assert_allclose(found.glitches_s, noise)


def test_a_dropout_inside_a_pulse_does_not_make_a_second_onset():
    onsets = np.arange(50) + 0.25
    times, values = both_edges(onsets)
    times = np.sort(np.concatenate([times, [10.45, 10.452]]))
    values = np.insert(values, np.searchsorted(times, 10.45), [0, 1])
    found = remove_glitches(times, values)
    np.testing.assert_array_equal(found.onsets_s, onsets)
    np.testing.assert_allclose(found.glitches_s, [10.452])


@pytest.mark.parametrize("shift", [-0.004, 0.004])
def test_without_widths_the_onset_that_keeps_the_rhythm_stays(shift):
    onsets = np.arange(100) + 0.25
    found = remove_glitches(np.sort(np.append(onsets, onsets[40] + shift)))
    np.testing.assert_array_equal(found.onsets_s, onsets)
    np.testing.assert_allclose(found.glitches_s, [onsets[40] + shift])


def test_a_burst_of_glitches_is_taken_out_whole():
    onsets = np.arange(100) + 0.25
    burst = 40.251 + np.arange(5) * 0.003
    found = remove_glitches(np.sort(np.concatenate([onsets, burst])))
    assert len(found.onsets_s) == 100
    assert len(found.glitches_s) == 5
    np.testing.assert_allclose(found.onsets_s, onsets, atol=0.013)


def test_nothing_is_taken_from_a_clean_or_short_train():
    for n in (0, 1, 3, 1000):
        train = np.arange(n) + 0.5
        found = remove_glitches(train)
        np.testing.assert_array_equal(found.onsets_s, train)
        assert len(found.glitches_s) == 0
