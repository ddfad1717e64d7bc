"""Voltages as SpikeInterface has them: the same numbers, at the same times and places."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import labdata
from labdata.errors import ObjectError
from labdata.objects import wrap_recording

pytest.importorskip("spikeinterface")
RATE_HZ = 30_000.0


def recording(pause_at: int | None = None) -> xr.Dataset:
    """A hundred samples from 500 on of four channels on two shanks."""
    rng = np.random.default_rng(5)
    number = np.arange(100)
    segment = number >= (100 if pause_at is None else pause_at)
    coords = {"sample_index": xr.Variable("time", 500 + number)}
    if pause_at is not None:
        coords["segment"] = xr.Variable("time", segment.astype("int32"))
    places = {"x": [0.0, 32.0, 250.0, 282.0], "depth": [0.0, 15.0, 0.0, 15.0]}
    channel_coords = {name: (np.array(um), {"units": "um"}) for name, um in places.items()}
    return wrap_recording(
        xr.Variable(("time", "channel"), rng.normal(0, 50, (100, 4)).astype("float32")),
        xr.Variable("time", (500 + number) / RATE_HZ * (1 + 2e-5) + 3.0 + 7.0 * segment),
        stream="imec0",
        sync={"clock": "nidq"},
        channel=np.array([3, 7, 100, 101], dtype="int32"),
        channel_coords={**channel_coords, "shank": (np.array([0, 0, 1, 1]), {"units": "1"})},
        sample_coords=coords,
        indexed=True,
        attrs={"sampling_rate_hz": RATE_HZ, "first_sample": 500, "t_start": 0.0, "t_stop": 99.0},
    )


@pytest.mark.parametrize("pause_at", [None, 1, 40, 99])
def test_numbers_times_and_places_are_the_same(pause_at):
    ds = recording(pause_at)
    found = labdata.to_spikeinterface(ds)
    spans = [(0, 100)] if pause_at is None else [(0, pause_at), (pause_at, 100)]
    assert found.get_num_segments() == len(spans)
    assert found.sampling_frequency == RATE_HZ
    assert found.channel_ids.tolist() == [3, 7, 100, 101]
    for segment, (a, b) in enumerate(spans):
        uv = found.get_traces(segment_index=segment, return_in_uV=True)
        np.testing.assert_array_equal(uv, ds["voltage"].values[a:b])
        np.testing.assert_array_equal(found.get_times(segment), ds["time"].values[a:b])
    np.testing.assert_array_equal(
        found.get_channel_locations(), np.column_stack([ds["x"].values, ds["depth"].values])
    )
    assert found.get_property("group").tolist() == [0, 0, 1, 1]


def test_its_preprocessing_takes_it():
    from spikeinterface.preprocessing import common_reference

    ds = recording()
    found = common_reference(labdata.to_spikeinterface(ds), operator="average").get_traces()
    uv = ds["voltage"].values
    np.testing.assert_allclose(found, uv - uv.mean(axis=1, keepdims=True), atol=1e-3)


def test_a_choice_of_channels_and_of_time():
    ds = recording().isel(time=slice(10, 30)).sel(channel=[100, 3])
    found = labdata.to_spikeinterface(ds)
    assert found.channel_ids.tolist() == [100, 3]
    np.testing.assert_array_equal(found.get_traces(), ds["voltage"].values)
    np.testing.assert_array_equal(found.get_channel_locations(), [[250.0, 0.0], [0.0, 0.0]])


def test_samples_that_do_not_follow_each_other_are_refused():
    ds = recording()
    for broken in (ds.isel(time=slice(None, None, 2)), ds.isel(time=[0, 1, 5, 6])):
        with pytest.raises(ObjectError, match="others are left out"):
            labdata.to_spikeinterface(broken)
    with pytest.raises(ObjectError, match="no sample_index"):
        labdata.to_spikeinterface(ds.drop_vars("sample_index"))
    del ds.attrs["sampling_rate_hz"]
    with pytest.raises(ObjectError, match="no sampling_rate_hz"):
        labdata.to_spikeinterface(ds)
