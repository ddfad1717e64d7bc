"""Snippets around spikes, against one cut by hand for each spike and channel."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import labdata
from labdata.errors import ObjectError
from labdata.objects import build_spikes, cut_waveforms, snippets, validate, wrap_recording

RATE_HZ, SYNC = 1000.0, {"clock": "nidq"}


def recording(n_samples=60, n_channels=3, first=100, pause_at=None, seed=0):
    """A recording that begins with sample `first`; a pause of 5 s before row `pause_at`."""
    rng = np.random.default_rng(seed)
    segment = np.arange(n_samples) >= (n_samples if pause_at is None else pause_at)
    times = (first + np.arange(n_samples)) / RATE_HZ + 5.0 * segment
    coords = {"sample_index": xr.Variable("time", first + np.arange(n_samples))}
    if pause_at is not None:
        coords["segment"] = xr.Variable("time", segment.astype("int32"))
    voltage = rng.normal(size=(n_samples, n_channels)).astype("float32")
    return wrap_recording(
        xr.Variable(("time", "channel"), voltage),
        xr.Variable("time", times),
        stream="imec0",
        sync=SYNC,
        channel=np.arange(n_channels, dtype="int32"),
        channel_coords={"depth": (np.arange(n_channels) * 15.0, {"units": "um"})},
        sample_coords=coords,
        indexed=True,
        attrs={"sampling_rate_hz": RATE_HZ, "first_sample": first, "t_start": 0.0, "t_stop": 9.0},
    )


def by_hand(found, samples, offsets):
    """Each value by itself: NaN if it is not in the recording, or in another segment."""
    numbers = found["sample_index"].values.tolist()
    segment = found["segment"].values if "segment" in found.coords else np.zeros(len(numbers))
    out = np.full((len(samples), len(offsets), found.sizes["channel"]), np.nan)
    for i, sample in enumerate(samples):
        for j, offset in enumerate(offsets):
            if sample + offset in numbers:
                row = numbers.index(sample + offset)
                if segment[row] == segment[numbers.index(sample)]:
                    out[i, j] = found["voltage"].values[row]
    return out


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(100, 159), max_size=12),
    st.integers(-7, 2),
    st.integers(1, 9),
    st.sampled_from([None, 1, 30, 59]),
    st.integers(1, 5),
)
def test_snippets_are_those_cut_by_hand(samples, start, length, pause_at, block):
    found = recording(pause_at=pause_at)
    offsets = np.arange(start, start + length)
    wanted = by_hand(found, samples, offsets)
    window_ms = (float(start), float(start + length))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snippets, "_BLOCK_SPIKES", block)
        cut = cut_waveforms(found, np.array(samples, dtype=int), window_ms=window_ms)
    validate(cut)
    np.testing.assert_array_equal(cut["waveform"], wanted)
    whole = ~np.isnan(wanted).any(axis=(1, 2))
    np.testing.assert_array_equal(cut["is_whole"], whole)
    assert cut["spike_sample"].values.tolist() == samples
    assert cut["time_ms"].values.tolist() == offsets.tolist()
    assert cut.attrs["cut_n_partial"] == (~whole).sum() and cut.attrs["cut_n_outside"] == 0
    times = dict(zip(found["sample_index"].values, found["time"].values, strict=True))
    assert cut["spike_time"].values.tolist() == [times[s] for s in samples]
    kept = cut_waveforms(found, np.array(samples, dtype=int), window_ms=window_ms, partial="drop")
    np.testing.assert_array_equal(kept["waveform"], wanted[whole])
    if not whole.all():
        with pytest.raises(ObjectError, match="beyond the recording or over a pause"):
            cut_waveforms(found, samples, window_ms=window_ms, partial="raise")


def test_spikes_outside_are_left_out_and_counted():
    found = recording()
    cut = cut_waveforms(found.isel(time=slice(10, 30)), [99, 109, 115, 130, 5000])
    assert cut["spike_sample"].values.tolist() == [115] and cut.attrs["cut_n_outside"] == 4
    assert cut.attrs["cut_n_partial"] == 0
    np.testing.assert_array_equal(cut["waveform"][0], found["voltage"][14:17])
    assert cut["depth"].values.tolist() == [0.0, 15.0, 30.0]
    assert cut.attrs["labdata_kind"] == "spike_waveforms" and "t_start" not in cut.attrs
    assert cut_waveforms(found, []).sizes == {"spike": 0, "sample": 3, "channel": 3}


def test_units_of_spikes_stay_with_their_snippets(tmp_path):
    samples = np.array([150, 110, 130, 120, 400])
    spikes = build_spikes(
        samples / RATE_HZ,
        np.array([3, 8, 3, 8, 3]),
        stream="imec0",
        sync=SYNC,
        spike_vars={"sample_index": samples},
        sampling_rate_hz=RATE_HZ,
    )
    cut = labdata.cut_waveforms(recording(), spikes, window_ms=(-2, 3))
    of = dict(zip(cut["spike_sample"].values.tolist(), cut["spike_unit"].values, strict=True))
    assert of == {130: 3, 150: 3, 110: 8, 120: 8} and cut.attrs["cut_n_outside"] == 1
    mean = cut["waveform"].groupby("spike_unit").mean()
    voltage = recording()["voltage"].values
    wanted = np.mean([voltage[row - 2 : row + 3] for row in (30, 50)], axis=0)
    np.testing.assert_allclose(mean.sel(spike_unit=3), wanted, rtol=1e-6)
    labdata.save(cut, tmp_path / "cut.nc")
    xr.testing.assert_identical(labdata.load(tmp_path / "cut.nc"), cut)
    for wrong, said in (("stream", "imec0, the spikes imec1"), ("sampling_rate_hz", "sampling")):
        other = spikes.assign_attrs({wrong: "imec1" if wrong == "stream" else 2500.0})
        with pytest.raises(ObjectError, match=said):
            cut_waveforms(recording(), other)
    with pytest.raises(ObjectError, match="spikes have no sample_index"):
        cut_waveforms(recording(), spikes.drop_vars("sample_index"))


@pytest.mark.parametrize(
    "do,said",
    [
        (lambda r: cut_waveforms(r, [0.5, 1.5]), "float64, not sample numbers"),
        (lambda r: cut_waveforms(r, [110], window_ms=(2, 1)), "is empty"),
        (lambda r: cut_waveforms(r, [110], window_ms=(0, 0.2)), "holds no sample at 1000 Hz"),
        (lambda r: cut_waveforms(r, [110], window_ms=(np.nan, 1)), "is empty"),
        (lambda r: cut_waveforms(r, [110], partial="zero"), "partial is 'zero'"),
        (lambda r: cut_waveforms(r.drop_vars("sample_index"), [110]), "has no sample_index"),
        (lambda r: cut_waveforms(r.isel(time=slice(None, None, 2)), [110]), "has 30 samples"),
        (lambda r: cut_waveforms(r.isel(time=[0, 2, 1, 3]), [102]), "not in order"),
        (lambda r: cut_waveforms(r["voltage"], [110]), "kind recording"),
    ],
)
def test_what_cannot_be_cut_is_refused(do, said):
    with pytest.raises(ObjectError, match=said):
        do(recording())
