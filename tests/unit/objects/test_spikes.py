import warnings

import numpy as np
import pytest
import xarray as xr

from labdata.errors import ObjectError
from labdata.objects import (
    UnsyncedWarning,
    build_spikes,
    concat_spikes,
    count_orphans,
    iter_units,
    restrict_time,
    select_units,
    spikes_of,
    tidy,
    validate,
)


def trains(ds):
    """Brute force: the times of each unit by mask."""
    return {
        int(u): np.sort(ds.spike_time.values[ds.spike_unit.values == u]) for u in ds.unit.values
    }


def assert_same_trains(ds, expected):
    found = dict(iter_units(ds))
    assert list(found) == list(expected)
    for unit, times in expected.items():
        np.testing.assert_array_equal(found[unit], times)
        np.testing.assert_array_equal(spikes_of(ds, unit), times)


def test_layout_and_attributes(spikes):
    validate(spikes)
    assert spikes.spike_time.dtype == np.float64
    assert spikes.spike_unit.dtype == spikes.unit.dtype == np.int32
    assert spikes.sizes == {"spike": 590, "unit": 4}
    assert spikes.depth.attrs["units"] == "um"
    assert spikes.spike_amplitude.attrs["units"] == "uV"
    wanted = {"labdata_kind": "spikes", "labdata_schema": 1, "synced": 1, "clock": "nidq"}
    assert wanted.items() <= spikes.attrs.items()
    assert spikes.attrs["stream"] == "imec0"
    assert '"subject_name": "JC1"' in spikes.attrs["provenance"]


def test_unsorted_flat_spikes_are_sorted_with_their_variables():
    rng = np.random.default_rng(0)
    times, labels = rng.uniform(0, 9, 500), rng.integers(0, 7, 500)
    ds = build_spikes(
        times, labels, stream="a", sync={"clock": "c"}, spike_vars={"spike_depth": times * 10}
    )
    for unit, found in iter_units(ds):
        np.testing.assert_array_equal(found, np.sort(times[labels == unit]))
    np.testing.assert_array_equal(ds.spike_depth, ds.spike_time * 10)


def test_a_silent_unit_stays(spikes):
    assert len(spikes_of(spikes, 5)) == 0
    assert 5 in spikes.unit


def test_iterating_makes_no_copy(spikes):
    for _, times in iter_units(spikes):
        assert len(times) == 0 or np.shares_memory(times, spikes.spike_time.values)


@pytest.mark.parametrize(
    "change",
    [
        lambda ds: ds.sortby("depth"),
        lambda ds: ds.isel(unit=[2, 0]),
        lambda ds: ds.sel(unit=[900, 7]),
        lambda ds: ds.sortby("spike_time"),
        lambda ds: ds.isel(spike=slice(None, None, -1)),
        lambda ds: ds.isel(spike=ds.spike_amplitude.values % 3 == 0),
        lambda ds: tidy(ds.sortby("spike_time").isel(unit=[3, 2])),
    ],
    ids=["sort units", "isel", "sel", "sort time", "reverse", "mask", "tidy"],
)
def test_ordinary_xarray_calls_never_give_a_unit_anothers_spikes(spikes, change):
    changed = change(spikes)
    expected = trains(changed)
    assert_same_trains(changed, expected)
    original = trains(spikes)
    for unit, times in expected.items():
        assert np.isin(times, original[unit]).all()


def test_tidy_removes_orphans_and_sorts(spikes):
    loose = spikes.isel(unit=[0, 3]).sortby("spike_time")
    assert count_orphans(loose) == 350
    neat = tidy(loose)
    assert count_orphans(neat) == 0
    assert (np.diff(neat.spike_unit) >= 0).all()
    assert_same_trains(neat, trains(loose))
    assert tidy(neat) is neat


@pytest.mark.parametrize(
    ("where", "units"),
    [
        ("shank == 1", [5, 7]),
        ("depth > 15 & depth < 35", [12, 7]),
        ('label == "good" or shank == 2', [12, 7, 900]),
        ("~passes_sua", [5, 900]),
        ("passes_sua", [12, 7]),
        ("unit in [7, 12]", [12, 7]),
        ("depth / 10 + shank > 3", [900]),
        ("10 < depth <= 30", [12, 7]),
        ([900, 12], [900, 12]),
        (np.array([False, True, False, True]), [5, 900]),
        ([], []),
    ],
)
def test_units_are_selected_with_their_spikes(spikes, where, units):
    if isinstance(where, list) and not where:
        where = np.array([], dtype=int)
    chosen = select_units(spikes, where)
    assert chosen.unit.values.tolist() == units
    assert count_orphans(chosen) == 0
    original = trains(spikes)
    assert_same_trains(chosen, {u: original[u] for u in units})


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("shank == 1 & firing > 2", "'firing'"),
        ("__import__('os').system('true')", "not allowed"),
        ("depth.values > 0", "not allowed"),
        ("depth", "not true or false"),
        ("depth >", "Cannot read"),
        ([1], "Unit 1 is not"),
        ([True, False], "mask has shape"),
    ],
)
def test_selections_that_cannot_be_meant_are_refused(spikes, where, message):
    with pytest.raises(ObjectError, match=message):
        select_units(spikes, where)


def test_restrict_time_is_half_open_and_moves_the_span(spikes):
    edge = float(spikes_of(spikes, 7)[100])
    last = float(spikes_of(spikes, 7)[200])
    part = restrict_time(spikes, edge, last)
    np.testing.assert_array_equal(spikes_of(part, 7), spikes_of(spikes, 7)[100:200])
    assert (part.attrs["t_start"], part.attrs["t_stop"]) == (edge, last)
    assert part.sizes["unit"] == 4
    assert restrict_time(part, 0, 100).attrs["t_start"] == edge
    validate(part)
    with pytest.raises(ObjectError, match="empty"):
        restrict_time(spikes, 5, 5)


def test_two_probes_with_the_same_unit_numbers_stay_apart(spikes):
    other = build_spikes({7: [1.0, 2.0]}, stream="imec1", sync={"clock": "nidq"}, t_stop_s=90.0)
    both = concat_spikes([spikes, other])
    validate(both)
    assert both.unit.values.tolist() == [0, 1, 2, 3, 4]
    assert both.stream.values.tolist() == ["imec0"] * 4 + ["imec1"]
    assert both.stream_unit.values.tolist() == [12, 5, 7, 900, 7]
    np.testing.assert_array_equal(spikes_of(both, 4), [1, 2])
    np.testing.assert_array_equal(spikes_of(both, 2), spikes_of(spikes, 7))
    assert both.attrs["stream"] == "imec0,imec1"
    assert both.attrs["t_stop"] == 90


def test_streams_on_different_clocks_are_not_joined(spikes):
    other = build_spikes({7: [1.0]}, stream="imec1", sync={"clock": "imec1"})
    with pytest.raises(ObjectError, match="imec1, nidq"):
        concat_spikes([spikes, other])
    with pytest.raises(ObjectError, match="Unit 5 occurs 2 times"):
        spikes_of(xr.concat([spikes, spikes], dim="unit", data_vars="minimal"), 12)


def test_unsynced_is_loud():
    with pytest.warns(UnsyncedWarning, match="NOT SYNCHRONISED") as caught:
        ds = build_spikes({1: [0.5]}, stream="imec0")
    assert caught[0].filename == __file__
    assert (ds.attrs["synced"], ds.attrs["clock"]) == (0, "imec0")
    assert "NOT SYNCHRONISED" in repr(ds)
    assert "NOT SYNCHRONISED" in ds._repr_html_()
    validate(ds)


def test_synced_is_quiet(sync):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build_spikes({1: [0.5]}, stream="imec0", sync=sync)


def test_a_sync_report_can_be_given_as_it_is():
    from labdata.clocks import fit_clock

    pulses = np.arange(100.0)
    report = fit_clock(pulses, pulses, stream="imec0", clock="nidq").report
    ds = build_spikes({1: [0.5]}, stream="imec0", sync=report)
    assert ds.attrs["stream_sync_n_pulses"] == 100
    validate(ds)


@pytest.mark.parametrize(
    ("times", "labels", "more", "message"),
    [
        ([1.0, np.nan], [0, 1], {}, "Spike 1 of unit 1 has the time nan"),
        ([1.0, 2.0], [0], {}, "shape"),
        ([1.0], [3], {"unit": [1, 2]}, "unit 3, which is not"),
        ([1.0], [1], {"unit": [1, 1]}, "repeat"),
        ([1.0], [1.5], {}, "integers"),
        ([1.0], [2**40], {}, "32 bits"),
        ([1.0], [1], {"unit_coords": {"depth": [1, 2]}}, "depth has shape"),
        ([1.0], None, {}, "need spike_unit"),
    ],
)
def test_what_would_be_wrong_is_not_built(sync, times, labels, more, message):
    with pytest.raises(ObjectError, match=message):
        build_spikes(times, labels, stream="a", sync=sync, **more)


def test_fault_08_times_keep_every_sample_after_an_hour(sync):
    samples = np.arange(10**8, 10**8 + 1000)
    ds = build_spikes({1: samples / 30000}, stream="imec0", sync=sync)
    np.testing.assert_array_equal(np.rint(ds.spike_time.values * 30000), samples)


def test_no_spikes_and_no_units_at_all(sync):
    ds = build_spikes({}, stream="imec0", sync=sync)
    assert ds.sizes == {"spike": 0, "unit": 0}
    validate(ds)
    assert list(iter_units(ds)) == []
    assert tidy(select_units(ds, np.zeros(0, bool))).sizes["unit"] == 0


def test_joining_adds_up_what_was_extrapolated(spikes):
    parts = [spikes.assign_attrs(stream_n_extrapolated=n) for n in (2, 3)]
    assert concat_spikes(parts).attrs["stream_n_extrapolated"] == 5
