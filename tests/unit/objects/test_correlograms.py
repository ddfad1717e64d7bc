"""Correlograms against every pair of spikes, one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labdata.errors import ObjectError
from labdata.objects import build_spikes, correlogram, correlograms, validate

pytestmark = pytest.mark.usefixtures("loops_either_way")

SYNC = {"clock": "nidq"}
#: Microseconds; halves of a bin are common.
ticks = st.integers(0, 40).map(lambda k: k * 500)


def by_loop(first, second, bin_us, n_side, *, same):
    """Count all ordered pairs; lags rounded to bins, half away from zero."""
    found = [0] * (2 * n_side + 1)
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            if same and i == j:
                continue
            k = (2 * abs(b - a) + bin_us) // (2 * bin_us)
            k = k if b >= a else -k
            if abs(k) <= n_side:
                found[n_side + k] += 1
    return found


@settings(max_examples=120, deadline=None)
@given(
    trains=st.dictionaries(st.integers(0, 9), st.lists(ticks, max_size=15), max_size=4),
    bin_us=st.sampled_from([500, 1000, 1500, 3000]),
    n_side=st.integers(0, 4),
    block=st.sampled_from([1, 3, 1 << 15]),
)
def test_every_pair_is_counted_once_in_its_bin(trains, bin_us, n_side, block):
    spikes = build_spikes(
        {u: np.array(t) / 1e6 for u, t in trains.items()}, stream="imec0", sync=SYNC
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(correlograms, "_BLOCK", block)
        found = correlogram(spikes, bin_s=bin_us / 1e6, window_s=n_side * bin_us / 1e6)
    validate(found)
    assert found["count"].dtype == np.uint32
    for a, first in trains.items():
        for b, second in trains.items():
            expected = by_loop(sorted(first), sorted(second), bin_us, n_side, same=a == b)
            assert found["count"].sel(unit=a, other_unit=b).values.tolist() == expected
    flipped = found["count"].values[:, :, ::-1].transpose(1, 0, 2)
    np.testing.assert_array_equal(found["count"].values, flipped)


def test_chosen_units_and_what_they_are_compared_with(spikes):
    whole = correlogram(spikes, bin_s=0.01, window_s=0.1, normalise="chance")
    part = correlogram(spikes, [900, 5], [7, 12, 900], bin_s=0.01, window_s=0.1)
    np.testing.assert_array_equal(
        part["count"], whole["count"].sel(unit=[900, 5], other_unit=[7, 12, 900])
    )
    assert part["n_spikes"].values.tolist() == [40, 0]
    assert part["other_n_spikes"].values.tolist() == [350, 200, 40]
    assert "ratio" not in part
    np.testing.assert_allclose(
        whole["rate"].sel(unit=7, other_unit=12),
        whole["count"].sel(unit=7, other_unit=12) / (350 * 0.01),
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        whole["ratio"].sel(unit=7, other_unit=12),
        whole["rate"].sel(unit=7, other_unit=12) / (200 / 60.0),
        rtol=1e-6,
    )
    assert np.isnan(whole["rate"].sel(unit=5)).all()
    assert whole["lag"].attrs["units"] == "s"
    assert whole.attrs["clock"] == "nidq"
    assert set(correlogram(spikes, [7], normalise="count").data_vars) == {"count"}
    sorted_by_time = correlogram(spikes.sortby("spike_time"), bin_s=0.01, window_s=0.1)
    np.testing.assert_array_equal(sorted_by_time["count"], whole["count"])


def test_a_known_delay_is_seen_at_its_lag():
    rng = np.random.default_rng(0)
    leader = np.sort(rng.uniform(0, 500, 5000))
    spikes = build_spikes({1: leader, 2: leader + 0.003}, stream="a", sync=SYNC)
    found = correlogram(spikes, [1], [2], bin_s=0.001, window_s=0.02, normalise="chance")
    peak = found.isel(unit=0, other_unit=0)
    assert float(peak["lag"][peak["count"].values.argmax()]) == 0.003
    assert int(peak["count"].max()) >= 5000
    assert 0.7 < float(peak["ratio"].sel(lag=slice(-0.02, 0.0)).mean()) < 1.3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bin_s": 2.5e-7}, "whole number of microseconds"),
        ({"bin_s": 0.002, "window_s": 0.005}, "whole number of bins"),
        ({"units": [3]}, "Unit 3 is not among"),
        ({"normalise": "pdf"}, "normalise is 'pdf'"),
    ],
)
def test_what_does_not_fit_is_refused(spikes, options, said):
    with pytest.raises(ObjectError, match=said):
        correlogram(spikes, **options)
