"""Drift maps against numpy's own histograms and a planted drift."""

import numpy as np
import pytest

from labdata.errors import ObjectError
from labdata.objects import build_spikes, drift, drift_map, validate

SYNC = {"clock": "nidq"}


@pytest.fixture
def drifting():
    """Two units that move 40 um in 100 s, one spike without a depth."""
    rng = np.random.default_rng(5)
    times = np.sort(rng.uniform(0, 100, 4000))
    depth = np.where(np.arange(4000) % 2, 55.0, 405.0) + 0.4 * times
    depth[7] = np.nan
    return build_spikes(
        times,
        np.arange(4000) % 2,
        stream="imec0",
        sync=SYNC,
        spike_vars={"spike_depth": depth, "spike_amplitude": rng.uniform(50, 90, 4000)},
        t_start_s=0.0,
        t_stop_s=100.0,
    )


@pytest.mark.parametrize("block", [1, 17, 1 << 21])
def test_counts_and_amplitudes_are_those_of_a_histogram(drifting, monkeypatch, block):
    spikes = drifting.isel(spike=slice(0, None, 40)) if block == 1 else drifting
    monkeypatch.setattr(drift, "_BLOCK", block)
    found = drift_map(spikes, 8.0, 25.0, with_amplitude=True)
    validate(found)
    times, depth = spikes["spike_time"].values, spikes["spike_depth"].values
    known = np.isfinite(depth)
    rows = np.append(found["depth"] - 12.5, found["depth"][-1] + 12.5)
    edges = np.arange(14) * 8.0
    expected, _, _ = np.histogram2d(times[known], depth[known], [edges, rows])
    np.testing.assert_array_equal(found["count"], expected)
    sums, _, _ = np.histogram2d(
        times[known], depth[known], [edges, rows], weights=spikes["spike_amplitude"].values[known]
    )
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(found["amplitude"], sums / expected)
    assert found["time_observed"].values.tolist() == [8.0] * 12 + [4.0]
    assert found.attrs["spikes_without_depth"] == int((~known).sum())
    assert found["time"].attrs == {"units": "s", "clock": "nidq"}


def test_a_planted_drift_is_seen(drifting):
    found = drift_map(drifting, 10.0, 5.0).sel(depth=slice(0, 200))
    centre = (found["count"] * found["depth"]).sum("depth") / found["count"].sum("depth")
    slope = np.polyfit(found["time"], centre, 1)[0]
    assert slope == pytest.approx(0.4, abs=0.02)


def test_spikes_of_units_that_are_gone_do_not_count(drifting):
    one = drift_map(drifting.sel(unit=[1]), 10.0, 50.0)
    assert int(one["count"].sum()) == int((drifting["spike_unit"] == 1).sum()) - int(
        np.isnan(drifting["spike_depth"].values[drifting["spike_unit"].values == 1]).sum()
    )
    nothing = drift_map(drifting.isel(unit=[]), 10.0, 50.0)
    assert nothing["count"].shape == (10, 0)


def test_what_is_missing_is_told(spikes, drifting):
    with pytest.raises(ObjectError, match="no spike_depth"):
        drift_map(spikes)
    with pytest.raises(ObjectError, match="no spike_amplitude"):
        drift_map(drifting.drop_vars("spike_amplitude"), with_amplitude=True)
    with pytest.raises(ObjectError, match="have no size"):
        drift_map(drifting, 0.0)


def test_spikes_outside_the_recording_are_counted_apart(drifting):
    cut = drifting.assign_attrs(t_start=20.0, t_stop=90.0)
    times = cut["spike_time"].values
    inside = (times >= 20.0) & (times <= 90.0)
    found = drift_map(cut, 10.0, 25.0)
    known = np.isfinite(cut["spike_depth"].values)
    edges = np.arange(20.0, 91.0, 10.0)
    expected, _ = np.histogram(times[inside & known], edges)
    np.testing.assert_array_equal(found["count"].sum("depth"), expected)
    assert found.attrs["spikes_outside"] == (known & ~inside).sum()
