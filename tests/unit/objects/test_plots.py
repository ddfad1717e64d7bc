"""Plots show the numbers of their objects, with units, clock and warnings; not pixels."""

from datetime import datetime, timedelta

import numpy as np
import pytest

import labdata
from labdata.errors import ObjectError
from labdata.objects import build_spikes, correlogram, drift_map, psth, tuning_curve

pyplot = pytest.importorskip("matplotlib.pyplot")
STIMULI = [10.0, 20.0, 30.0, 40.0]


@pytest.fixture
def ax():
    figure, axes = pyplot.subplots()
    yield axes
    pyplot.close(figure)


def texts(ax):
    return [t.get_text() for t in ax.texts]


def test_a_line_a_condition_with_its_error(spikes, ax):
    mean = psth(spikes, STIMULI, by=["go", "no", "go", "no"], bin_s=0.5)
    assert labdata.plot_psth(mean, 7, ax=ax) is ax
    go, no, event = ax.lines
    for line, name in ((go, "go"), (no, "no")):
        one = mean.sel(unit=7, condition=name)
        np.testing.assert_array_equal(line.get_xdata(), mean["time"])
        np.testing.assert_array_equal(line.get_ydata(), one["rate"])
        assert line.get_label() == f"{name} (n = 2)"
    assert go.get_color() != no.get_color()
    assert set(event.get_xdata()) == {0.0}
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    one = mean.sel(unit=7, condition="go")
    assert band.max() == pytest.approx(float((one["rate"] + one["sem"]).max()))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Time from event (s)", "Rate of unit 7 (Hz)")
    assert texts(ax) == ["nidq · 12 µs · 1 pulse lost"]


def test_all_units_are_a_picture(spikes, ax):
    mean = psth(spikes, STIMULI, bin_s=0.5)
    labdata.plot_psth(mean, ax=ax)
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), mean["rate"])
    assert image.get_extent() == [-0.5, 1.5, 3.5, -0.5]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["12", "5", "7", "900"]
    assert "Rate (Hz)" in [a.get_ylabel() for a in ax.figure.axes]
    with pytest.raises(ObjectError, match="shows one condition; there are 4"):
        labdata.plot_psth(psth(spikes, STIMULI, by=[1, 2, 3, 4], bin_s=0.5), ax=ax)
    with pytest.raises(ObjectError, match="Unit 8 is not among"):
        labdata.plot_psth(mean, 8, ax=ax)


def test_unsynchronised_data_wear_amber(ax):
    with pytest.warns(labdata.objects.UnsyncedWarning):
        spikes = build_spikes(
            {1: [1.0, 2.0]}, stream="imec0", spike_vars={"spike_depth": [5.0, 15.0]}
        )
    labdata.plot_drift_map(drift_map(spikes, 0.5, 10.0), ax=ax)
    (note,) = ax.texts
    assert note.get_text() == "not synchronised: clock of imec0"
    assert note.get_color() == "#9A5B00"
    assert ax.get_xlabel() == "Time on imec0 (s)"
    assert ax.get_ylabel() == "Distance from tip of shank (µm)"
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), [[1, 0], [0, 1]])
    assert image.get_extent() == [1.0, 2.0, 0.0, 20.0]


def test_nothing_to_draw_is_an_empty_map(spikes, ax):
    spikes = spikes.assign(spike_depth=("spike", np.full(590, np.nan)))
    assert not labdata.plot_drift_map(drift_map(spikes), ax=ax).images


def test_units_are_where_they_are(spikes, waveforms, ax):
    units = spikes.assign_coords(
        x=("unit", [0.0, 32.0, np.nan, 250.0]),
        amplitude=("unit", [50.0, 20.0, 90.0, 200.0]),
        firing_rate=("unit", [1.0, 2.0, 3.0, 4.0]),
    )
    labdata.plot_probe(units, waveforms, ax=ax)
    *shanks, dots = ax.collections
    assert [s.get_label() for s in shanks] == ["shank 0", "shank 1"]
    np.testing.assert_array_equal(shanks[1].get_offsets(), [[250.0, 0.0], [250.0, 15.0]])
    np.testing.assert_array_equal(dots.get_offsets(), [[250, 40], [0, 30], [32, 10]])
    np.testing.assert_array_equal(dots.get_sizes(), [100.0, 25.0, 10.0])
    np.testing.assert_array_equal(dots.get_array(), [4.0, 1.0, 2.0])
    assert texts(ax) == ["size: amplitude\nwithout a position, not drawn: 1"]
    assert ax.get_xlabel() == "Distance from first shank edge (µm)"
    with pytest.raises(ObjectError, match="no x"):
        labdata.plot_probe(spikes, ax=ax)


def test_units_may_lack_amplitude_and_rate(spikes, ax):
    labdata.plot_probe(spikes.assign_coords(x=("unit", np.zeros(4))), ax=ax)
    assert len(ax.collections[0].get_offsets()) == 4
    assert texts(ax) == []


def test_a_waveform_is_on_its_own_shank_at_its_channels(waveforms, ax):
    labdata.plot_waveform(waveforms, 7, ax=ax)
    *traces, height, length = ax.lines
    assert len(traces) == 3  # channel 4 is of another shank
    peak = traces[0]
    assert peak.get_linewidth() > traces[1].get_linewidth()
    # at its tallest a trace is as high as the distance of channels, 15 um for 100 uV
    np.testing.assert_allclose(peak.get_ydata(), [15.0, 0.0, 22.5])
    np.testing.assert_allclose(peak.get_xdata().mean(), 0.0, atol=1e-9)
    assert np.ptp(height.get_ydata()) == pytest.approx(50.0 / 100.0 * 15.0)
    assert np.ptp(length.get_xdata()) == pytest.approx(0.5 * np.ptp(peak.get_xdata()))
    assert texts(ax) == [" 50 µV, 1 ms"]
    near = labdata.plot_waveform(waveforms, 7, n_channels=1, ax=ax.figure.add_subplot())
    assert len(near.lines) == 3
    with pytest.raises(ObjectError, match="Unit 3 is not among"):
        labdata.plot_waveform(waveforms, 3, ax=ax)


def test_correlograms_are_a_triangle_of_bars(spikes):
    found = correlogram(spikes, bin_s=0.01, window_s=0.05)
    figure = labdata.plot_correlograms(found, [12, 7])
    try:
        own, cross, hidden, _ = figure.axes
        heights = [bar.get_height() for bar in cross.patches]
        np.testing.assert_allclose(heights, found["rate"].sel(unit=12, other_unit=7))
        middles = [bar.get_x() + bar.get_width() / 2 for bar in own.patches]
        np.testing.assert_allclose(middles, found["lag"] * 1e3)
        assert cross.get_title() == "12 → 7"
        assert (own.get_xlabel(), own.get_ylabel()) == ("Lag (ms)", "Rate (Hz)")
        assert not hidden.get_visible()
    finally:
        pyplot.close(figure)
    for units, said in (([3], "Unit 3 is not"), ([], "0 units"), ([7] * 11, "121 plots")):
        with pytest.raises(ObjectError, match=said):
            labdata.plot_correlograms(found, units)


def test_unit_counts_are_summed_a_session(ax):
    start = datetime(2024, 3, 1)
    rows = [
        {
            "session_datetime": start + timedelta(days=d),
            "unit_criteria_id": c,
            "sua": 10 * c + d + p,
        }
        for d in (3, 0)
        for c in (1, 2)
        for p in (0, 1)
    ]
    labdata.plot_unit_counts(rows, ax=ax)
    assert [line.get_ydata().tolist() for line in ax.lines] == [[21, 27], [41, 47]]
    assert [line.get_label() for line in ax.lines] == ["1", "2"]
    assert ax.lines[0].get_xdata()[0] == np.datetime64(start)
    assert len(ax.collections[0].get_offsets()) == 4
    assert ax.get_ylabel() == "Single units"
    with pytest.raises(ObjectError, match="no unit_criteria_id"):
        labdata.plot_unit_counts([{"session_datetime": start}], ax=ax)


def test_too_many_ticks_are_counted_and_it_is_said(ax):
    rng = np.random.default_rng(0)
    trials = [np.sort(rng.uniform(-0.5, 1.5, 1000)) for _ in range(60)]
    labdata.plot_raster(trials, ax=ax)
    (image,) = ax.images
    assert image.get_array().sum() == 60_000
    assert image.get_array().shape == (60, 500)
    assert ax.get_title(loc="left") == "60,000 spikes, counted in bins of 4 ms"
    assert all(len(line.get_xdata()) == 2 for line in ax.lines)


NOTHING = [
    (lambda spikes, ax: labdata.plot_raster([[], []], ax=ax), "no spikes", (-1, 1)),
    (lambda spikes, ax: labdata.plot_raster([], ax=ax), "no spikes", (-1, 1)),
    (lambda spikes, ax: labdata.plot_psth(psth(spikes, [], bin_s=0.5), 7, ax=ax), "no trials",
     (-0.5, 1.5)),
    (lambda spikes, ax: labdata.plot_psth(psth(spikes, [], bin_s=0.5), ax=ax), "no trials",
     (-0.5, 1.5)),
    (lambda spikes, ax: labdata.plot_psth(psth(none_of(spikes), [1.0], bin_s=0.5), ax=ax),
     "no units", (-0.5, 1.5)),
    (lambda spikes, ax: labdata.plot_tuning_curve(tuning_curve(spikes, [], []), 7, ax=ax),
     "no trials", None),
    (lambda spikes, ax: labdata.plot_drift_map(drift_map(without_depth(spikes)), ax=ax),
     "no spikes", None),
]  # fmt: skip


def none_of(spikes):
    return labdata.select_units(spikes, [])


def without_depth(spikes):
    return spikes.assign(spike_depth=("spike", np.full(590, np.nan)))


@pytest.mark.parametrize(("draw", "said", "span"), NOTHING)
def test_where_nothing_is_drawn_it_is_said_on_axes_of_the_window(spikes, ax, draw, said, span):
    draw(spikes, ax)
    assert said in texts(ax) and not ax.images
    assert ax.get_xlabel() and ax.get_ylabel()
    assert span is None or ax.get_xlim() == pytest.approx(span)


def test_silent_units_have_correlograms_of_zero_over_all_lags():
    spikes = build_spikes({1: [], 2: []}, stream="imec0", sync={"clock": "nidq"})
    found = correlogram(spikes, bin_s=0.01, window_s=0.05)
    figure = labdata.plot_correlograms(found)
    try:
        for ax in figure.axes:
            assert ax.get_xlim() == pytest.approx((-50, 50), abs=6) and ax.get_ylim() == (0, 1)
    finally:
        pyplot.close(figure)


def test_one_session_is_shown_on_its_day_and_none_is_refused(ax):
    row = {"session_datetime": datetime(2024, 3, 1, 12), "unit_criteria_id": 1, "sua": 40}
    labdata.plot_unit_counts([row], ax=ax)
    assert np.ptp(ax.get_xlim()) == 2.0  # days
    with pytest.raises(ObjectError, match="no counts of units"):
        labdata.plot_unit_counts([], ax=ax)


def test_a_legend_lies_on_a_ground_of_its_own(spikes, ax):
    labdata.plot_psth(psth(spikes, STIMULI, by=["go", "no", "go", "no"], bin_s=0.5), 7, ax=ax)
    frame = ax.get_legend().get_frame()
    assert frame.get_visible() and frame.get_alpha() == 0.8


def test_a_raster_of_what_are_no_trials_says_what_it_takes(spikes, ax):
    for given, said in ((spikes, r"\(spikes\)"), ([[0.1], ["late"]], r"trial 1 .*late")):
        with pytest.raises(ObjectError, match=said):
            labdata.plot_raster(given, ax=ax)
    assert not ax.lines


def test_a_waveform_is_drawn_on_one_channel_or_more(waveforms):
    for wrong in (0, -1, "all"):
        with pytest.raises(ObjectError, match="n_channels is"):
            labdata.plot_waveform(waveforms, 7, n_channels=wrong)
