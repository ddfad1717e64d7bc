"""Bokeh's plots show the numbers that matplotlib's show, with units, clock and warnings."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest
import xarray as xr

import labdata
from labdata.errors import ObjectError
from labdata.objects import (
    aligned_lists,
    build_spikes,
    correlogram,
    drift_map,
    psth,
    tuning_curve,
)

bokeh = pytest.importorskip("bokeh.models")
STIMULI = [10.0, 20.0, 30.0, 40.0]


def drawn(plot, kind):
    """Return the data of what a figure has of one kind of glyph."""
    return [r.data_source.data for r in plot.renderers if type(r.glyph).__name__ == kind]


def notes(plot):
    return [part.text for side in (plot.above, plot.below) for part in side
            if isinstance(part, bokeh.Title)]  # fmt: skip


def show(plot):
    """Make the page of a plot, which checks all of it."""
    from bokeh.embed import file_html
    from bokeh.resources import INLINE

    assert "bk-" in file_html(plot, INLINE) or plot is not None
    return plot


def test_a_tick_a_spike(spikes):
    aligned = labdata.align_spikes(spikes, STIMULI, window_s=(-1.0, 5.0))
    trials = aligned_lists(aligned, 7)
    plot = show(labdata.plot_raster(trials, backend="bokeh"))
    (ticks,) = drawn(plot, "Scatter")
    np.testing.assert_array_equal(ticks["x"], np.concatenate(trials))
    np.testing.assert_array_equal(ticks["y"], np.repeat(range(4), [len(t) for t in trials]))
    assert plot.xaxis.axis_label == "Time from event (s)"


def test_too_many_ticks_are_counted():
    trials = [np.random.default_rng(k).uniform(-1, 1, 20_000) for k in range(3)]
    plot = show(labdata.plot_raster(trials, backend="bokeh"))
    (picture,) = drawn(plot, "Image")
    assert picture["image"][0].sum(axis=1).tolist() == [20_000] * 3
    assert notes(plot) == ["60,000 spikes, counted in bins of 4 ms"]


def test_a_line_a_condition_with_its_error(spikes):
    mean = psth(spikes, STIMULI, by=["go", "no", "go", "no"], bin_s=0.5)
    plot = show(labdata.plot_psth(mean, 7, backend="bokeh"))
    lines = drawn(plot, "Line")
    for line, name in zip(lines, ("go", "no"), strict=True):
        one = mean.sel(unit=7, condition=name)
        np.testing.assert_array_equal(line["x"], mean["time"])
        np.testing.assert_array_equal(line["rate"], one["rate"])
        np.testing.assert_array_equal(line["high"] - line["rate"], one["sem"])
    (legend,) = plot.legend
    assert [item.label.value for item in legend.items] == ["go (n = 2)", "no (n = 2)"]


def test_a_row_a_unit_the_first_at_the_top(spikes):
    mean = psth(spikes, STIMULI, bin_s=0.5)
    plot = show(labdata.plot_psth(mean, backend="bokeh"))
    (picture,) = drawn(plot, "Image")
    np.testing.assert_allclose(picture["image"][0], mean["rate"], rtol=1e-6)
    assert plot.y_range.flipped
    names = {k: str(unit) for k, unit in enumerate(mean["unit"].values)}
    assert plot.yaxis.major_label_overrides == names


def test_depth_over_time():
    times = np.arange(0.0, 10.0, 0.1)
    depth = np.where(times < 5, 100.0, 120.0)
    spikes = build_spikes(
        {1: times}, stream="imec0", sync={"clock": "nidq"}, spike_vars={"spike_depth": depth}
    )
    drift = drift_map(spikes)
    plot = show(labdata.plot_drift_map(drift, backend="bokeh"))
    (picture,) = drawn(plot, "Image")
    np.testing.assert_array_equal(picture["image"][0], drift["count"].values.T)
    assert plot.xaxis.axis_label == "Time on nidq (s)"
    assert notes(plot) == ["nidq"]


def placed_units(**more):
    coords = {"x": np.array([0.0, 32.0, np.nan]), "depth": np.array([50.0, 10.0, 5.0])}
    return build_spikes(
        {1: [1.0], 2: [2.0], 3: [3.0]},
        stream="imec0",
        sync={"clock": "nidq"},
        unit_coords=coords | more,
    )


def test_units_where_they_are_and_what_is_not_drawn():
    units = placed_units(amplitude=np.array([50.0, 200.0, 90.0]), firing_rate=np.arange(3.0))
    plot = show(labdata.plot_probe(units, backend="bokeh"))
    (dots,) = drawn(plot, "Scatter")
    assert dots["unit"].tolist() == [2, 1]  # the large one first, below the small one
    assert dots["depth"].tolist() == [10.0, 50.0]
    assert dots["rate"].tolist() == [1.0, 0.0]
    assert notes(plot) == ["size: amplitude · without a position, not drawn: 1"]
    plain = show(labdata.plot_probe(placed_units(), backend="bokeh"))
    assert drawn(plain, "Scatter")[0]["unit"].tolist() == [1, 2]


def test_a_waveform_on_its_channels(waveforms):
    plot = show(labdata.plot_waveform(waveforms, 7, backend="bokeh"))
    traces, bars = drawn(plot, "MultiLine")
    peak = traces["channel"].index(2)
    assert [c for c, w in zip(traces["channel"], traces["width"], strict=True) if w == 2] == [2]
    assert sorted(traces["channel"]) == [1, 2, 3]  # channel 4 is of another shank
    assert np.ptp(traces["y"][peak]) == pytest.approx(1.5 * 15)  # the tallest is a row high
    assert len(bars["xs"]) == 2


def test_correlograms_above_the_diagonal(spikes):
    units = spikes["unit"].values.tolist()[:2]
    found = correlogram(spikes, units, bin_s=0.5, window_s=1.0)
    grid = show(labdata.plot_correlograms(found, units, backend="bokeh"))
    figures = [child for child, *_ in grid.children]
    assert len(figures) == 3
    heights = [drawn(figure, "VBar")[0]["top"] for figure in figures]
    pairs = [(units[0], units[0]), (units[0], units[1]), (units[1], units[1])]
    for height, (unit, other) in zip(heights, pairs, strict=True):
        name = "rate" if "rate" in found else "count"
        np.testing.assert_array_equal(height, found[name].sel(unit=unit, other_unit=other))


def test_counts_over_days_sum_the_probes():
    days = [datetime(2025, 1, 1) + timedelta(days=k) for k in range(3)]
    rows = [
        {"session_datetime": day, "unit_criteria_id": 1, "sua": 10 * k + probe}
        for k, day in enumerate(days)
        for probe in (0, 1)
    ]
    plot = show(labdata.plot_unit_counts(rows, backend="bokeh"))
    (line,) = drawn(plot, "Line")
    assert list(line["y"]) == [1, 21, 41]
    assert len(drawn(plot, "Scatter")[1]["y"]) == 6


@pytest.mark.parametrize("backend", ["matplotlib", "bokeh"])
def test_tuning_curves(spikes, backend):
    side = [-1, 1, -1, 1]
    curve = labdata.tuning_curve(spikes, side, STIMULI, window_s=(0.0, 0.5))
    if backend == "matplotlib":
        pyplot = pytest.importorskip("matplotlib.pyplot")
        figure, ax = pyplot.subplots()
        labdata.plot_tuning_curve(curve, 7, ax=ax)
        x, rate = ax.lines[0].get_data()
        said = ax.get_ylabel()
        pyplot.close(figure)
    else:
        plot = show(labdata.plot_tuning_curve(curve, 7, backend="bokeh"))
        (line,) = drawn(plot, "Line")
        x, rate, said = line["x"], line["rate"], plot.yaxis.axis_label
    np.testing.assert_array_equal(x, [-1, 1])
    np.testing.assert_array_equal(rate, curve["rate"].sel(unit=7))
    assert said == "Rate of unit 7 (Hz)"


def test_tuning_curves_of_words_and_of_samples(spikes):
    words = labdata.tuning_curve(spikes, ["go", "no"] * 2, STIMULI)
    plot = show(labdata.plot_tuning_curve(words, spikes["unit"].values[:2], backend="bokeh"))
    assert plot.x_range.factors == ["go", "no"]
    running = xr.DataArray(
        np.linspace(0, 1, 50), {"time": np.linspace(0, 50, 50)}, "time", "speed", {"units": "m/s"}
    )
    running.attrs["clock"] = spikes.attrs["clock"]
    curve = labdata.tuning_curve(spikes, running, bins=5, allow_clock_mismatch=True)
    plot = show(labdata.plot_tuning_curve(curve, 7, backend="bokeh"))
    assert plot.xaxis.axis_label == "speed (m/s)"
    assert not drawn(plot, "Segment")


@pytest.mark.filterwarnings("ignore::labdata.objects.UnsyncedWarning")
def test_unsynchronised_data_are_marked():
    spikes = build_spikes({7: [1.0, 11.0]}, stream="imec0")
    mean = psth(spikes, [1.0, 11.0], bin_s=0.5)
    plot = labdata.plot_psth(mean, 7, backend="bokeh")
    (note,) = [part for part in plot.above if isinstance(part, bokeh.Title)]
    assert note.text.startswith("not synchronised")
    assert note.text_color == "#9A5B00"


@pytest.mark.parametrize("options", [{"backend": "plotly"}, {"backend": "bokeh", "ax": object()}])
def test_what_cannot_be_drawn_is_said(options):
    with pytest.raises(ObjectError, match=r"no backend|takes no axes"):
        labdata.plot_raster([[1.0]], **options)


def test_units_that_are_not_there(spikes):
    curve = labdata.tuning_curve(spikes, [0, 1] * 2, STIMULI)
    with pytest.raises(ObjectError, match="Unit 999"):
        labdata.plot_tuning_curve(curve, 999)
    with pytest.raises(ObjectError, match="0 units"):
        labdata.plot_tuning_curve(curve, [])


NOTHING = [
    (lambda spikes: labdata.plot_raster([[], []], backend="bokeh"), "no spikes"),
    (lambda spikes: labdata.plot_raster([], backend="bokeh"), "no spikes"),
    (lambda spikes: labdata.plot_psth(psth(spikes, [], bin_s=0.5), 7, backend="bokeh"),
     "no trials"),
    (lambda spikes: labdata.plot_psth(psth(spikes, [], bin_s=0.5), backend="bokeh"), "no trials"),
    (lambda spikes: labdata.plot_psth(
        psth(labdata.select_units(spikes, []), [1.0], bin_s=0.5), backend="bokeh"), "no units"),
    (lambda spikes: labdata.plot_tuning_curve(tuning_curve(spikes, [], []), 7, backend="bokeh"),
     "no trials"),
    (lambda spikes: labdata.plot_drift_map(drift_map(
        spikes.assign(spike_depth=("spike", np.full(590, np.nan)))), backend="bokeh"),
     "no spikes"),
]  # fmt: skip


@pytest.mark.parametrize(("draw", "said"), NOTHING)
def test_where_nothing_is_drawn_it_is_said_and_there_are_axes(spikes, draw, said):
    """Bokeh draws no axis that nothing spans: the page was blank."""
    plot = show(draw(spikes))
    assert said in [part.text for part in plot.center if isinstance(part, bokeh.Label)]
    for span in (plot.x_range, plot.y_range):
        assert span.start < span.end


def test_silent_units_and_a_single_session_have_axes():
    spikes = build_spikes({1: [], 2: []}, stream="imec0", sync={"clock": "nidq"})
    grid = show(labdata.plot_correlograms(
        correlogram(spikes, bin_s=0.01, window_s=0.05), backend="bokeh"
    ))  # fmt: skip
    plots = [plot for plot, *_ in grid.children]
    assert all(p.x_range.start < -45 and p.y_range.end == 1 for p in plots)
    row = {"session_datetime": datetime(2024, 3, 1), "unit_criteria_id": 1, "sua": 4}
    plot = show(labdata.plot_unit_counts([row], backend="bokeh"))
    assert plot.x_range.end - plot.x_range.start == timedelta(days=2)
