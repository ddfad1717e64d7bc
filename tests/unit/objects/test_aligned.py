"""Alignment and counting against plain loops."""

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labdata.errors import ObjectError
from labdata.objects import (
    align_spikes,
    aligned_lists,
    build_spikes,
    count_spikes,
    iter_units,
    validate,
)

pytestmark = pytest.mark.usefixtures("loops_either_way")

SYNC = {"clock": "nidq"}


def by_loop(spikes, events, window):
    """[(unit, trial, relative time)] in the order the dataset promises."""
    rows = []
    for unit in sorted(spikes.unit.values.tolist(), key=list(spikes.unit.values).index):
        mine = np.sort(spikes.spike_time.values[spikes.spike_unit.values == unit])
        for trial, event in enumerate(events, start=1):
            for t in mine:
                if window[0] <= t - event < window[1]:
                    rows.append((unit, trial, t - event))
    return rows


def rows_of(aligned):
    columns = (aligned.spike_unit, aligned.spike_trial, aligned.relative_time)
    return list(zip(*(c.values.tolist() for c in columns), strict=True))


grid = st.integers(0, 60).map(lambda k: k * 0.25)  # exact ties with the window's edges are common


@settings(max_examples=150, deadline=None)
@given(
    trains=st.dictionaries(st.integers(0, 9), st.lists(grid, max_size=25), max_size=4),
    events=st.lists(st.one_of(grid, st.just(float("nan")), st.floats(0, 15)), max_size=8),
    window=st.sampled_from([(-0.5, 1.5), (-0.25, 0.25), (0.5, 3.0), (-20.0, 20.0)]),
)
def test_alignment_equals_the_loop(trains, events, window):
    spikes = build_spikes(trains, stream="imec0", sync=SYNC)
    aligned = align_spikes(spikes, events, window_s=window)
    assert rows_of(aligned) == by_loop(spikes, events, window)
    assert aligned.sizes["trial"] == len(events)
    assert aligned.sizes["unit"] == len(trains)
    validate(aligned)


def test_every_other_spike_and_event(spikes):
    """Arrays that are not in one piece in memory."""
    some = spikes.isel(spike=slice(None, None, 2))
    events = np.arange(1.0, 60.0)[::3]
    aligned = align_spikes(some, events, window_s=(-0.5, 1.5))
    assert rows_of(aligned) == by_loop(some, events, (-0.5, 1.5))


@settings(max_examples=60, deadline=None)
@given(
    trains=st.dictionaries(st.integers(0, 9), st.lists(grid, max_size=25), max_size=4),
    events=st.lists(st.one_of(grid, st.just(float("nan"))), max_size=6),
    bin_s=st.sampled_from([0.25, 0.1, 0.5, 2.0]),
)
def test_counts_equal_histograms(trains, events, bin_s):
    spikes = build_spikes(trains, stream="imec0", sync=SYNC)
    psth = count_spikes(spikes, events, bin_s=bin_s, window_s=(-0.5, 1.5))
    edges = -0.5 + np.arange(round(2 / bin_s) + 1) * bin_s
    for u, times in enumerate(trains.values()):
        for k, event in enumerate(events):
            relative = np.array(times) - event
            inside = [((a <= relative) & (relative < b)).sum() for a, b in pairwise(edges)]
            assert psth["count"].values[u, k].tolist() == inside
            if np.isnan(event):
                assert np.isnan(psth["rate"].values[u, k]).all()
            else:
                np.testing.assert_allclose(
                    psth["rate"].values[u, k], np.array(inside) / bin_s, rtol=1e-6
                )
    validate(psth)


def test_windows_are_half_open():
    spikes = build_spikes({1: [0.5, 1.0, 2.5]}, stream="a", sync=SYNC)
    aligned = align_spikes(spikes, [1.0], window_s=(-0.5, 1.5))
    assert aligned.relative_time.values.tolist() == [-0.5, 0.0]


def test_touching_windows_share_no_spike_even_where_sums_round():
    rng = np.random.default_rng(0)
    times = np.round(np.sort(rng.uniform(0, 1e4, 5000)), 1)
    spikes = build_spikes({1: times}, stream="a", sync=SYNC)
    events = np.arange(0, 1e4, 0.1)
    before = align_spikes(spikes, events, window_s=(-0.1, 0.0))
    after = align_spikes(spikes, events, window_s=(0.0, 0.1))
    both = align_spikes(spikes, events, window_s=(-0.1, 0.1))
    assert before.sizes["spike"] + after.sizes["spike"] == both.sizes["spike"]
    assert rows_of(both) == sorted(rows_of(before) + rows_of(after))


def test_overlapping_trials_each_have_the_spike():
    spikes = build_spikes({1: [10.0]}, stream="a", sync=SYNC)
    aligned = align_spikes(spikes, [9.9, 9.0, 10.2], window_s=(-0.5, 1.5))
    assert aligned.spike_trial.values.tolist() == [1, 2, 3]
    np.testing.assert_allclose(aligned.relative_time, [0.1, 1.0, -0.2])


@pytest.mark.parametrize(
    "change",
    [
        lambda ds: ds.sortby("depth"),
        lambda ds: ds.sortby("spike_time"),
        lambda ds: ds.isel(unit=[3, 0]),
        lambda ds: ds.isel(spike=slice(None, None, -1)).sortby("depth"),
    ],
)
def test_user_sorted_spikes_and_dropped_units(spikes, change):
    changed = change(spikes)
    events = [50.0, 3.0, np.nan, 3.4, 59.9]
    aligned = align_spikes(changed, events)
    assert rows_of(aligned) == by_loop(changed, events, (-0.5, 1.5))
    assert aligned.unit.values.tolist() == changed.unit.values.tolist()
    np.testing.assert_array_equal(aligned.depth, changed.depth)


def test_trial_labels_coordinates_and_missing_events_come_along(spikes, trials):
    aligned = align_spikes(spikes, trials["stim_time"])
    assert aligned.trial.values.tolist() == [3, 4, 9]
    np.testing.assert_array_equal(aligned.event_time, [1.0, np.nan, 4.0])
    np.testing.assert_array_equal(aligned.start_time, trials.start_time)
    assert set(np.unique(aligned.spike_trial)) == {3, 9}
    assert aligned.attrs["window_start_s"] == -0.5
    assert aligned.attrs["clock"] == "nidq"
    assert aligned.window_observed.values.tolist() == [1, 0, 1]


def test_windows_that_leave_the_recording_are_marked(spikes):
    aligned = align_spikes(spikes, [0.4, 0.5, 58.5, 58.6])
    assert aligned.window_observed.values.tolist() == [0, 1, 1, 0]


def test_aligned_selection_still_counts_right(spikes):
    events = np.linspace(2, 55, 20)
    aligned = align_spikes(spikes, events)
    whole = count_spikes(aligned, bin_s=0.1)["count"]
    part = count_spikes(aligned.isel(trial=[7, 2]).sel(unit=[900, 7]), bin_s=0.1)["count"]
    np.testing.assert_array_equal(part, whole.isel(trial=[7, 2]).sel(unit=[900, 7]))
    mixed = aligned.sortby("relative_time")
    np.testing.assert_array_equal(count_spikes(mixed, bin_s=0.1)["count"], whole)


def test_silent_units_count_zero(spikes):
    psth = count_spikes(spikes, [10.0, 20.0])
    assert psth["count"].sel(unit=5).shape == (2, 200)
    assert int(psth["count"].sel(unit=5).sum()) == 0
    assert psth["count"].dtype == np.uint16
    np.testing.assert_allclose(psth.time[:2], [-0.495, -0.485])


def test_more_spikes_than_16_bits_hold():
    times = np.linspace(0, 0.9, 70_000)
    psth = count_spikes(build_spikes({1: [], 2: times}, stream="a", sync=SYNC), [0.0], bin_s=2.0)
    assert psth["count"].values.ravel().tolist() == [0, 70_000]


def test_events_dataset_and_selection(spikes, events):
    rises = events.isel(event=np.flatnonzero(events.event_value == 1))
    of_one = rises.isel(event=np.flatnonzero(rises.channel == "1"))
    assert align_spikes(spikes, of_one).event_time.values.tolist() == [1.0, 4.0]
    aligned = align_spikes(spikes, rises["event_time"])
    assert aligned.event_time.values.tolist() == [1.0, 1.2, 4.0]
    assert aligned.channel.values.tolist() == ["1", "7", "1"]


def test_edges_of_several_lines_are_no_trials(spikes, events):
    """Each edge of each line would be a trial, and the mean of all of them a response."""
    with pytest.raises(ObjectError, match="rises and falls of nidq/1, nidq/7, not one event"):
        align_spikes(spikes, events)
    rises = events.isel(event=np.flatnonzero(events.event_value == 1))
    with pytest.raises(ObjectError, match="edges of nidq/1, nidq/7"):
        align_spikes(spikes, rises)


def test_dates_texts_and_masks_are_no_seconds(spikes):
    """NumPy makes nanoseconds since 1970 of a date, and 1.0 of True."""
    for wrong in (["1.0"], np.array(["2026-01-31"], "datetime64[ns]"), [True, False], [object()]):
        with pytest.raises(ObjectError, match=r"Event times are .* of type .* not seconds"):
            align_spikes(spikes, wrong)
    column = np.array([1.0, None], dtype=object)  # as pandas has a column with a missing event
    np.testing.assert_array_equal(align_spikes(spikes, column).event_time, [1.0, np.nan])


def test_different_clocks_are_refused_by_name(spikes, trials):
    own = build_spikes({1: [1.0]}, stream="imec0", sync={"clock": "imec0", "synced": 0})
    for events in (trials["stim_time"], trials["start_time"]):
        with pytest.raises(ObjectError, match="'imec0' and the events on clock 'nidq'"):
            align_spikes(own, events)
    assert align_spikes(own, trials["stim_time"], allow_clock_mismatch=True).sizes["spike"] == 1


@pytest.mark.parametrize(
    ("events", "more", "message"),
    [
        ([1.0], {"window_s": (1, 1)}, "empty"),
        ([1.0], {"window_s": (0, np.inf)}, "without end"),
        ([1.0], {"window_s": (0, 1, 2)}, "not two numbers"),
        ([np.inf], {}, "infinite"),
        ([[1.0]], {}, "2 dimensions"),
    ],
)
def test_impossible_alignments_are_refused(spikes, events, more, message):
    with pytest.raises(ObjectError, match=message):
        align_spikes(spikes, events, **more)


@pytest.mark.parametrize("bin_s", [0.3, 0, -1, 5])
def test_bins_that_do_not_fill_the_window_are_refused(spikes, bin_s):
    with pytest.raises(ObjectError, match="do not fill"):
        count_spikes(spikes, [1.0], bin_s=bin_s)


def test_counting_needs_alignment(spikes):
    with pytest.raises(ObjectError, match="Expected a dataset of kind aligned_spikes"):
        count_spikes(spikes)


def test_lists_for_a_raster(spikes):
    events = [30.0, 5.0, np.nan]
    aligned = align_spikes(spikes, events)
    times = dict(iter_units(spikes))[7]
    lists = aligned_lists(aligned, 7)
    for event, found in zip(events, lists, strict=True):
        expected = times[(times - event >= -0.5) & (times - event < 1.5)] - event
        np.testing.assert_array_equal(found, expected)


def test_the_guides_loop_is_beaten_by_far():
    rng = np.random.default_rng(0)
    trains = {u: np.sort(rng.uniform(0, 3600, 20_000)) for u in range(30)}
    events = np.sort(rng.uniform(1, 3590, 1000))
    spikes = build_spikes(trains, stream="a", sync=SYNC)
    began = time.perf_counter()
    aligned = align_spikes(spikes, events)
    ours = time.perf_counter() - began
    began = time.perf_counter()
    for u in range(3):
        sp = trains[u]
        loop = [sp[(sp >= p - 0.5) & (sp < p + 1.5)] - p for p in events]
        assert [len(x) for x in loop] == [len(x) for x in aligned_lists(aligned, u)]
    assert ours < (time.perf_counter() - began) * 10
