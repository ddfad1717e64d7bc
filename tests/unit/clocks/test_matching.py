"""The oracle is the identity of each pulse in the world that made both trains."""

import time

import numpy as np
import pytest

from labdata.clocks import match_pulses
from labdata.clocks.numbering import number_pulses
from labdata.errors import ClockError


def true_numbers(w, which, drop=()):
    seen = np.flatnonzero(w.on_stream if which == "stream" else w.on_clock)
    return np.delete(seen, list(drop))


def assert_right_pairs(w, match, drop_stream=(), drop_clock=()):
    s, c = true_numbers(w, "stream", drop_stream), true_numbers(w, "clock", drop_clock)
    np.testing.assert_array_equal(s[match.stream_index], c[match.clock_index])
    assert match.n_matched == len(np.intersect1d(s, c))


def test_streams_with_unequal_counts_are_paired_by_their_spans(world):
    w = world(phase_s=0.5, lead_s=0.731, lag_s=0.2)  # the clock has one pulse more at the start
    stream, clock = w.pulses("stream"), w.pulses("clock")
    assert len(clock) == len(stream) + 1
    match = match_pulses(stream, clock, **w.spans)
    assert_right_pairs(w, match)
    assert not match.ambiguous_offset
    assert match.evidence == "spans"
    assert list(match.outside_clock) == [0]


def test_without_spans_unequal_counts_are_called_ambiguous(world):
    w = world(phase_s=0.5, lead_s=0.731)
    match = match_pulses(w.pulses("stream"), w.pulses("clock"))
    assert match.ambiguous_offset
    both = sorted([match.offset_s, match.alternative_offset_s])
    np.testing.assert_allclose(both, [-0.269, 0.731], atol=0.01)


def test_an_offset_hint_decides(world):
    w = world(phase_s=0.5, lead_s=0.731)
    match = match_pulses(w.pulses("stream"), w.pulses("clock"), offset_hint_s=0.7)
    assert_right_pairs(w, match)
    assert (match.evidence, match.ambiguous_offset) == ("hint", False)


def test_a_hint_half_way_between_two_offsets_does_not_decide(world):
    w = world(phase_s=0.5, lead_s=0.731)
    assert match_pulses(
        w.pulses("stream"), w.pulses("clock"), offset_hint_s=0.231
    ).ambiguous_offset


def test_equal_counts_that_start_together_need_nothing_else(world):
    w = world(lead_s=0.05)
    match = match_pulses(w.pulses("stream"), w.pulses("clock"))
    assert_right_pairs(w, match)
    assert not match.ambiguous_offset


def test_the_generators_own_jitter_reveals_a_large_offset(world):
    w = world(lead_s=47.3, lag_s=11.0, source_jitter_s=1e-4)
    match = match_pulses(w.pulses("stream"), w.pulses("clock"))
    assert_right_pairs(w, match)
    assert (match.evidence, match.ambiguous_offset) == ("jitter", False)


def test_pauses_of_the_generator_reveal_a_large_offset(world):
    w = world(lead_s=47.3, lag_s=11.0)
    keep = np.ones(len(w.true_s), bool)
    keep[500:560] = keep[2000:2003] = False
    w.true_s, w.on_stream, w.on_clock = w.true_s[keep], w.on_stream[keep], w.on_clock[keep]
    match = match_pulses(w.pulses("stream"), w.pulses("clock"), **w.spans)
    assert_right_pairs(w, match)
    assert (match.evidence, match.ambiguous_offset) == ("pattern", False)
    assert len(match.missing_in_clock) == len(match.missing_in_stream) == 0


@pytest.mark.parametrize("random_intervals", [False, True])
@pytest.mark.parametrize("side", ["stream", "clock"])
@pytest.mark.parametrize("drop", [[1], [700], [3598], [5, 6, 7, 900, 2000, 2002]])
def test_dropped_pulses_are_named_exactly(world, random_intervals, side, drop):
    w = world(random_intervals=random_intervals)
    train = {"stream": w.pulses("stream"), "clock": w.pulses("clock")}
    drop = [min(d, len(train[side]) - 2) for d in drop]
    train[side] = np.delete(train[side], drop)
    match = match_pulses(train["stream"], train["clock"], **w.spans)
    lost = {"stream": match.missing_in_stream, "clock": match.missing_in_clock}
    np.testing.assert_array_equal(lost.pop(side), drop)
    assert len(next(iter(lost.values()))) == 0
    assert match.n_matched == len(train[side])


def test_spurious_pulses_of_a_regular_train_are_named(world):
    w = world()
    extra = [100.4, 100.9, 2000.7]
    match = match_pulses(w.pulses("stream"), w.pulses("clock", extra=extra), **w.spans)
    clock = w.pulses("clock", extra=extra)
    np.testing.assert_allclose(clock[match.spurious_in_clock], w.clock(extra), atol=1e-4)
    assert len(match.spurious_in_stream) == len(match.missing_in_stream) == 0
    assert match.n_matched == 3600


def test_many_faults_at_once(world):
    w = world(duration_s=7200, lead_s=0.3, edge_jitter_s=1e-4, thermal_ppm=2, stream_ppm=480)
    drop_s = np.flatnonzero(w.rng.random(w.on_stream.sum()) < 0.05)
    drop_c = np.flatnonzero(w.rng.random(w.on_clock.sum()) < 0.02)
    stream = w.pulses("stream", drop=drop_s)
    clock = w.pulses("clock", drop=drop_c)
    match = match_pulses(stream, clock, **w.spans)
    assert_right_pairs(w, match, drop_s, drop_c)


def test_a_guessed_sampling_rate_is_matched_as_well(world):
    for random_intervals in (False, True):
        w = world(duration_s=900, random_intervals=random_intervals)
        stream = w.pulses("stream") * 30000 / 25000
        match = match_pulses(stream, w.pulses("clock"))
        assert match.n_matched == len(stream)
        np.testing.assert_allclose(match.rate, 25 / 30 * (1 - 45e-6), rtol=1e-7)


def test_barcodes_with_whole_multiples_of_a_bar_are_matched(world):
    rng = np.random.default_rng(4)
    bars = [30 * k + 0.03 * np.flatnonzero(rng.random(32) < 0.5) for k in range(120)]
    true = np.concatenate(bars)
    stream = np.round(true * (1 + 40e-6) * 30000) / 30000
    clock = np.round((true[200:1500] + 500) * 25000) / 25000
    match = match_pulses(stream, clock)
    np.testing.assert_array_equal(match.stream_index - match.clock_index, 200)
    assert match.n_matched == 1300
    assert not match.ambiguous_offset


def test_random_trains_an_hour_apart_are_matched(world):
    w = world(duration_s=7200, random_intervals=True, stream_ppm=500)
    stream, clock = w.pulses("stream"), w.pulses("clock")[3000:]
    match = match_pulses(stream, clock + 5000.0)
    np.testing.assert_array_equal(match.stream_index - match.clock_index, 3000)
    assert match.n_matched == len(clock)


def test_a_generator_that_comes_back_with_another_phase(world):
    true = np.concatenate([np.arange(300) + 0.2, 420.63 + np.arange(300)])
    match = match_pulses(true * (1 + 2e-5), true + 0.01)
    np.testing.assert_array_equal(match.stream_index, np.arange(600))
    np.testing.assert_array_equal(match.clock_index, np.arange(600))


def test_a_late_edge_is_spurious_not_dropped(world):
    stream = np.arange(300) + 0.1
    clock = stream.copy()
    clock[150] += 0.015
    match = match_pulses(stream, clock)
    assert list(match.spurious_in_clock) == list(match.spurious_in_stream) == [150]
    assert len(match.missing_in_clock) == len(match.missing_in_stream) == 0


@pytest.mark.parametrize(
    ("stream", "clock", "message"),
    [
        ([0, 1], np.arange(9.0), "stream has 2 sync pulses; at least 3"),
        (np.arange(9.0), [], "clock has 0 sync pulses"),
        (np.arange(0, 60, 0.5), np.arange(60.0), "ratio 2"),
    ],
)
def test_what_cannot_be_matched_is_refused(stream, clock, message):
    with pytest.raises(ClockError, match=message):
        match_pulses(stream, clock)


def test_unrelated_random_trains_are_refused():
    rng = np.random.default_rng(0)
    a, b = (np.cumsum(rng.uniform(0.5, 1.5, 2000)) for _ in range(2))
    with pytest.raises(ClockError, match=r"no stretch in common|agree within"):
        match_pulses(a, b)


@pytest.mark.parametrize("random_intervals", [False, True])
def test_a_hundred_thousand_pulses_take_seconds(world, random_intervals):
    w = world(duration_s=100_000, random_intervals=random_intervals, thermal_ppm=1)
    stream, clock = w.pulses("stream", drop=[5000]), w.pulses("clock", drop=[90_000])
    began = time.perf_counter()
    match = match_pulses(stream, clock, **w.spans)
    assert time.perf_counter() - began < 20
    assert_right_pairs(w, match, [5000], [90_000])


def test_what_is_known_of_the_start_is_not_left_out_however_many_pulses_were_lost():
    # two of nine pulses that both lack by accident: a period off, more of them have a partner
    true = np.arange(0.3, 12.0)
    stream = np.delete(true, [1, 4, 7])
    clock = np.delete(true, [2, 5, 8])
    match = match_pulses(stream, clock, offset_hint_s=0.0)
    assert match.ambiguous_offset or abs(match.offset_s) < 1e-3


def test_intervals_that_are_all_off_their_median_are_no_regular_train():
    with pytest.raises(ClockError):
        match_pulses([0.0, 1.0, 2.19], [0.0, 1.0, 2.19, 7.0, 7.1])
    assert number_pulses(np.array([0.0, 1.0, 2.3])) is None
