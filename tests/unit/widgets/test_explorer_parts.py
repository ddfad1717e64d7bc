import numpy as np
import pytest
from labdata_widgets.explorer.clock_badge import clock_badge
from labdata_widgets.explorer.marks import count_cells
from labdata_widgets.explorer.units import unit_table

from labdata.objects import UnsyncedWarning, build_spikes


def test_cells_count_every_point_once(rng):
    x, y = rng.uniform(-1, 2, 5000), rng.integers(1, 41, 5000)
    counts = count_cells(x, y, x_range=(-1, 2), y_range=(0.5, 40.5), shape=(40, 30))
    expected, _, _ = np.histogram2d(
        y, x, bins=(np.linspace(0.5, 40.5, 41), np.linspace(-1, 2, 31))
    )
    np.testing.assert_array_equal(np.nan_to_num(counts), expected)
    assert np.nansum(counts) == 5000


def test_cells_include_both_ends_and_leave_out_the_rest():
    x, y = [0.0, 1.0, 1.1, np.nan, 0.5], [0.0, 1.0, 0.5, 0.5, -0.1]
    counts = count_cells(x, y, x_range=(0, 1), y_range=(0, 1), shape=(2, 2))
    np.testing.assert_array_equal(counts, [[1, np.nan], [np.nan, 1]])


def test_the_table_has_what_the_dataset_says_and_what_follows(spikes, trains):
    table = unit_table(spikes)
    assert list(table.index) == list(trains)
    assert table["n_spikes"].tolist() == [len(t) for t in trains.values()]
    np.testing.assert_allclose(table["rate_hz"], [len(t) / 100 for t in trains.values()])
    assert table["isi_contamination"].isna().all()
    assert table["passes"].tolist() == [1, 0, 0, 1, 1]
    for unit in trains:
        mine = spikes["spike_amplitude"].values[spikes["spike_unit"].values == unit]
        shown = table.loc[unit, "amplitude_uv"]
        assert np.isnan(shown) if len(mine) == 0 else shown == pytest.approx(np.median(mine))


def test_a_given_rate_is_not_replaced():
    ds = build_spikes(
        {1: [0.0, 1.0]}, stream="a", sync={"clock": "a"}, unit_coords={"firing_rate": [7.5]}
    )
    assert unit_table(ds)["rate_hz"].tolist() == [7.5]


def test_units_that_were_not_judged_are_neither_passed_nor_failed():
    ds = build_spikes({1: [0.0, 1.0]}, stream="a", sync={"clock": "a"})
    assert unit_table(ds)["passes"].isna().all()


def test_the_badge_is_the_headline_of_the_synchronisation():
    badge = clock_badge(
        {
            "clock": "nidq",
            "stream": "imec0",
            "synced": 1,
            "sync_headline": "nidq · 12 µs · 1 pulse lost",
            "sync_note": "nidq dropped 1 pulse.",
            "sync_residual_max_s": 12e-6,
        }
    )
    assert badge.text == "nidq · 12 µs · 1 pulse lost"
    assert badge.amber
    assert "Largest error 12 µs" in badge.explanation and "dropped 1 pulse" in badge.explanation


def test_a_clean_synchronisation_is_not_amber(spikes):
    assert not clock_badge(spikes.attrs).amber


def test_the_badge_of_unsynchronised_times_says_what_to_do():
    with pytest.warns(UnsyncedWarning):
        ds = build_spikes({1: [0.0]}, stream="imec0")
    badge = clock_badge(ds.attrs)
    assert badge.amber
    assert badge.text == "imec0 · not synchronised"
    assert "StreamSync" in badge.explanation
