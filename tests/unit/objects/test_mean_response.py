"""Mean responses and tuning against plain loops and against a real recording."""

import csv
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from labdata.errors import ObjectError
from labdata.objects import align_spikes, build_spikes, psth, tuning_curve, validate

SYNC = {"clock": "nidq"}
DATA = Path(__file__).parents[3].parent / "shared" / "data"
grid = st.integers(0, 60).map(lambda k: k * 0.25)


def by_loop(trains, events, conditions, edges):
    """{(unit, condition): (rates a trial)} of trials that happened."""
    found = {}
    for unit, times in trains.items():
        for event, condition in zip(events, conditions, strict=True):
            if np.isnan(event):
                continue
            relative = np.array(times) - event
            row = [sum(a <= t < b for t in relative) / (b - a) for a, b in pairwise(edges)]
            found.setdefault((unit, condition), []).append(row)
    return found


@settings(max_examples=60, deadline=None)
@given(
    trains=st.dictionaries(st.integers(0, 9), st.lists(grid, max_size=20), max_size=3),
    trials=st.lists(
        st.tuples(st.one_of(grid, st.just(float("nan"))), st.integers(0, 2)), max_size=7
    ),
)
def test_means_equal_the_loop(trains, trials):
    events, conditions = [t for t, _ in trials], [c for _, c in trials]
    spikes = build_spikes(trains, stream="imec0", sync=SYNC, t_start_s=-50.0, t_stop_s=50.0)
    found = psth(spikes, events, by=conditions, bin_s=0.5, window_s=(-0.5, 1.0))
    validate(found)
    loop = by_loop(trains, events, conditions, np.array([-0.5, 0.0, 0.5, 1.0]))
    assert found["condition"].values.tolist() == sorted(set(conditions))
    for unit in trains:
        for condition in set(conditions):
            rows = np.array(loop.get((unit, condition), [])).reshape(-1, 3)
            one = found.sel(unit=unit, condition=condition)
            assert one["n_trials"] == len(rows)
            if len(rows) == 0:
                assert np.isnan(one["rate"]).all()
                continue
            np.testing.assert_allclose(one["rate"], rows.mean(axis=0))
            if len(rows) == 1:
                assert np.isnan(one["sem"]).all()
            else:
                sem = [np.std(c, ddof=1) / np.sqrt(len(c)) for c in rows.T]
                np.testing.assert_allclose(one["sem"], sem, atol=1e-12)


def test_trials_that_cannot_be_used_are_told(spikes, trials):
    events = xr.DataArray([10.0, np.nan, 0.1, 59.9, 20.0], dims="trial", name="stim_time")
    found = psth(spikes, events, window_s=(-0.5, 0.5), bin_s=0.5)
    assert int(found["n_trials"]) == 2
    assert found.attrs["trials_without_event"] == 1
    assert found.attrs["trials_partly_observed"] == 2
    assert found.attrs["clock"] == "nidq"
    assert found["depth"].attrs["units"] == "um"
    kept = psth(spikes, events, window_s=(-0.5, 0.5), bin_s=0.5, partly_observed="keep")
    assert int(kept["n_trials"]) == 4
    with pytest.raises(ObjectError, match="2 trials leave the recording"):
        psth(spikes, events, window_s=(-0.5, 0.5), bin_s=0.5, partly_observed="raise")
    with pytest.raises(ObjectError, match="partly_observed is"):
        psth(spikes, events, partly_observed="drop")


def test_conditions_are_matched_by_trial_labels(spikes, trials):
    aligned = align_spikes(spikes, trials["stim_time"])
    contrast = xr.DataArray(
        [0.5, np.nan, 0.1], {"trial": [9, 4, 3]}, "trial", name="contrast", attrs={"units": "1"}
    )
    found = psth(aligned, by=contrast, bin_s=0.5)
    assert found["condition"].values.tolist() == [0.1, 0.5]
    assert found["condition"].attrs == {"long_name": "contrast", "units": "1"}
    assert found.attrs["trials_without_condition"] == 1
    np.testing.assert_array_equal(
        found["rate"].sel(condition=0.1), psth(aligned.isel(trial=[0]), bin_s=0.5)["rate"]
    )
    by_name = psth(aligned, by="start_time", bin_s=0.5)
    assert by_name["n_trials"].values.tolist() == [1, 0, 1]
    assert np.isnan(by_name["rate"].values[:, 1]).all()


@pytest.mark.parametrize(
    ("by", "said"),
    [
        ("side", "no coordinate of the trials; they have: .*stim_time"),
        ([1, 2], "shape .2,.; there are 3"),
        (np.array([1, None, 2], dtype=object), "Python objects"),
        (xr.DataArray([1, 2], {"trial": [3, 4]}, "trial"), "Trial 9 has no condition"),
    ],
)
def test_conditions_that_do_not_fit_are_refused(spikes, trials, by, said):
    with pytest.raises(ObjectError, match=said):
        psth(spikes, trials["stim_time"], by=by)


@pytest.mark.parametrize("file", ["STAR_e060817citron.csv", "STAR_e060817spont.csv"])
def test_a_real_response_has_the_counts_that_another_program_found(file):
    path = DATA / "spikes_events" / file
    if not path.exists():
        pytest.skip(f"the recording {file} is not at hand")
    with path.open() as lines:
        rows = list(csv.DictReader(lines))
    expected = json.loads((DATA / "expected_other.json").read_text())["psth"]
    trials = {name: k for k, name in enumerate(dict.fromkeys(r["trial"] for r in rows))}
    # the trials of 15 s, one after the other
    times = [20.0 * trials[r["trial"]] + float(r["spike_time_s"]) for r in rows]
    units = [int(r["neuron"].removeprefix("neuron ")) for r in rows]
    spikes = build_spikes(times, units, stream="tetrode", sync=SYNC, t_start_s=-5, t_stop_s=500)
    starts = 20.0 * np.arange(len(trials))
    found = psth(spikes, starts, window_s=(0.0, 15.0), bin_s=1.0)
    for name, facts in expected[f"spikes_events/{file}"].items():
        mine = found["rate"].sel(unit=int(name.removeprefix("neuron ")))
        np.testing.assert_allclose(mine * facts["trials"], facts["hist_1s_0_to_15"], atol=1e-9)


def test_tuning_of_trials_equals_the_loop():
    rng = np.random.default_rng(1)
    trains = {1: np.sort(rng.uniform(0, 100, 900)), 4: np.sort(rng.uniform(0, 100, 300)), 2: []}
    events, angle = np.sort(rng.uniform(2, 97, 40)), rng.choice([0.0, 45.0, 90.0], 40)
    spikes = build_spikes(trains, stream="a", sync=SYNC, t_start_s=0.0, t_stop_s=100.0)
    curve = tuning_curve(spikes, angle, events, window_s=(0.1, 0.5))
    validate(curve)
    assert curve["n_trials"].values.tolist() == [(angle == a).sum() for a in (0, 45, 90)]
    loop = by_loop(trains, events, angle, np.array([0.1, 0.5]))
    for (unit, condition), rows in loop.items():
        one = curve.sel(unit=unit, feature=condition)
        np.testing.assert_allclose(one["rate"], np.mean(rows))
        np.testing.assert_allclose(one["sem"], np.std(rows, ddof=1) / np.sqrt(len(rows)))
    binned = tuning_curve(spikes, angle, events, window_s=(0.1, 0.5), bins=[0, 45, 90, 200])
    np.testing.assert_allclose(binned["rate"], curve["rate"])
    ends = tuning_curve(spikes, angle, events, window_s=(0.1, 0.5), bins=[0, 45, 90])
    low, high = ends["n_trials"].values
    assert (low, high) == ((angle == 0).sum(), (angle >= 45).sum())


@settings(max_examples=60, deadline=None)
@given(
    train=st.lists(grid, max_size=25),
    samples=st.lists(
        st.tuples(st.integers(1, 8), st.one_of(st.integers(0, 4), st.just(float("nan")))),
        min_size=2,
        max_size=12,
    ),
    max_gap=st.sampled_from([None, 0.5, 1.0]),
)
def test_tuning_of_samples_equals_the_loop(train, samples, max_gap):
    time = np.cumsum([s for s, _ in samples]) * 0.25
    value = np.array([v for _, v in samples], dtype=float)
    spikes = build_spikes({7: train}, stream="a", sync=SYNC, t_start_s=0.0, t_stop_s=15.0)
    speed = xr.DataArray(value, {"time": time}, "time", name="speed", attrs={"units": "cm/s"})
    curve = tuning_curve(spikes, speed, bins=[0, 1, 2.5, 4], max_gap_s=max_gap)
    validate(curve)
    ends = np.append(time[1:], time[-1] + np.median(np.diff(time)))
    if max_gap is not None:
        ends = np.minimum(ends, time + max_gap)
    occupancy, count = np.zeros(3), np.zeros(3)
    for a, b, v in zip(time, ends, value, strict=True):
        if np.isnan(v):
            continue
        k = 0 if v < 1 else 1 if v < 2.5 else 2
        occupancy[k] += max(0.0, min(b, 15.0) - a)
        count[k] += sum(a <= t < b for t in train)
    np.testing.assert_allclose(curve["occupancy"], occupancy)
    np.testing.assert_array_equal(curve["count"].sel(unit=7), count)
    rate = np.where(occupancy > 0, count / np.where(occupancy > 0, occupancy, 1), np.nan)
    np.testing.assert_allclose(curve["rate"].sel(unit=7), rate)
    assert curve["feature"].attrs == {"long_name": "speed", "units": "cm/s"}


def test_a_feature_that_fits_nothing_is_refused(spikes):
    speed = xr.DataArray([1.0, 2.0], {"time": [1.0, 2.0]}, "time")
    with pytest.raises(ObjectError, match="no DataArray over time"):
        tuning_curve(spikes, [1, 2, 3])
    with pytest.raises(ObjectError, match="not ascending"):
        tuning_curve(spikes, speed.isel(time=[1, 0]))
    with pytest.raises(ObjectError, match="clock"):
        tuning_curve(spikes, speed.assign_attrs(clock="bpod"))
    with pytest.raises(ObjectError, match="edges"):
        tuning_curve(spikes, speed, bins=[3, 1])
    with pytest.raises(ObjectError, match="cannot be put"):
        tuning_curve(spikes, speed * np.nan)


def test_spikes_outside_the_recording_are_not_held_against_the_time_inside():
    times = np.array([1.0, 2.0, 3.0, 8.0])
    spikes = build_spikes(
        times, [5] * 4, stream="imec0", sync={"clock": "nidq"}, t_start_s=0.0, t_stop_s=4.0
    )
    speed = xr.DataArray(np.ones(11), {"time": np.arange(11.0)}, ("time",), name="speed")
    curve = tuning_curve(spikes, speed, bins=[0, 2])
    assert curve["occupancy"].item() == 4.0 and curve["count"].item() == 3
    assert curve["rate"].item() == 0.75
