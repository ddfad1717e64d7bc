"""Maps against clocks whose relation is known at every instant."""

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from labdata.clocks import ClockMap, estimate_quantum, fit_clock, synchronise
from labdata.errors import ClockError

SAMPLE_S = 1 / 30000


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"thermal_ppm": 3.0},
        {"source_jitter_s": 1e-4},
        {"random_intervals": True, "lead_s": 20.0},
        {"stream_rate_hz": 30000.0, "clock_rate_hz": 30000.0, "stream_ppm": 0.1, "clock_ppm": 0.0},
        {"duration_s": 8 * 3600.0, "thermal_ppm": 1.0},
    ],
    ids=["constant", "thermal", "jittery source", "random", "beating samples", "8 h"],
)
def test_times_inside_the_pulses_are_right_to_within_a_sample(world, kwargs):
    w = world(**kwargs)
    fitted = fit_clock(w.pulses("stream"), w.pulses("clock"), **w.spans)
    error = w.error(fitted)
    assert np.abs(error).max() < SAMPLE_S
    # A sample number says when a sample ended, up to a sample late: not the map's constant.
    assert np.std(error) < 1e-5
    assert abs(np.mean(error)) < 0.6 * SAMPLE_S
    assert not fitted.report.ambiguous_offset


def test_edge_jitter_is_averaged_away(world):
    w = world(edge_jitter_s=1e-4)
    fitted = fit_clock(w.pulses("stream"), w.pulses("clock"), **w.spans)
    error = w.error(fitted)
    assert np.abs(error).max() < 5e-5
    # Raw edges would err by the jitter of both, 0.14 ms; a straight line between them by 0.11 ms.
    assert np.sqrt(np.mean(error**2)) < 1.5e-5


def test_smoothing_beats_lines_through_raw_edges_tenfold(world):
    w = world(clock_rate_hz=30000.0)
    stream, clock = w.pulses("stream"), w.pulses("clock")
    at = w.rng.uniform(1, 3599, 20000)
    raw = np.interp(w.stream(at), stream, clock) - w.clock(at)
    smoothed = w.error(fit_clock(stream, clock), at=at)
    assert np.std(smoothed) < 0.1 * np.std(raw)


def test_knots_stay_within_a_sample_of_their_edges(world):
    w = world(thermal_ppm=5)
    stream, clock = w.pulses("stream"), w.pulses("clock")
    fitted = fit_clock(stream, clock, stream_quantum_s=1 / 30000, clock_quantum_s=1 / 25000)
    assert np.abs(fitted.clock_knots_s - clock).max() <= np.hypot(1 / 30000, 1 / 25000) + 1e-9


@pytest.mark.parametrize("ahead_s", [5.0, 60.0, 600.0])
def test_time_goes_on_at_the_fitted_rate_outside_the_pulses(world, ahead_s):
    w = world(duration_s=3600)
    keep = slice(700, -700)
    fitted = fit_clock(w.pulses("stream")[keep], w.pulses("clock")[keep])
    at = np.array([700 - ahead_s, 2900 + ahead_s])
    assert np.abs(w.error(fitted, at=at)).max() < 1e-5 + 1e-7 * ahead_s
    times, outside = fitted.apply_with_flags(w.stream(np.append(at, 2000.0)))
    assert list(outside) == [True, True, False]
    assert len(np.unique(times)) == 3


def test_extrapolation_is_counted_in_the_report(world):
    w = world(duration_s=600)
    stream, clock = w.pulses("stream")[100:-50], w.pulses("clock")[100:-50]
    report = fit_clock(stream, clock, stream_span_s=(0.0, 600.0)).report
    (before, after) = report.extrapolated_spans_s
    np.testing.assert_allclose(before, (0, 100.1234), atol=0.01)
    np.testing.assert_allclose(after, (549.1234, 600), atol=0.03)
    assert any("Extrapolated" in text for text in report.warnings)


def test_times_too_far_outside_are_refused_where_a_limit_is_set():
    pulses = np.arange(100.0)
    fitted = fit_clock(pulses, pulses, stream="imec0", max_extrapolation_s=10)
    fitted.apply([109.0, np.nan])
    with pytest.raises(ClockError, match=r"imec0 lies 12\.000 s outside"):
        fitted.apply([5.0, 111.0])


def test_any_shape_and_order_and_nan_pass_through():
    pulses = np.arange(100.0)
    fitted = fit_clock(pulses, pulses + 0.25)
    times = np.array([[50.5, 3.0], [np.nan, 99.5]])
    np.testing.assert_allclose(fitted.apply(times), times + 0.25)
    np.testing.assert_array_equal(fitted.extrapolated(times), [[False, False], [False, True]])
    assert fitted.apply(7.0).shape == ()
    assert fitted.apply([]).shape == (0,)


def test_the_inverse_undoes_the_map(world):
    w = world(thermal_ppm=3)
    fitted = fit_clock(w.pulses("stream"), w.pulses("clock"), stream="imec0", clock="nidq")
    times = np.linspace(-50, 3700, 5000)
    back = fitted.invert()
    assert (back.stream, back.clock) == ("nidq", "imec0")
    np.testing.assert_allclose(back.apply(fitted.apply(times)), times, atol=1e-9)


def test_the_map_only_goes_forward(world):
    w = world(edge_jitter_s=2e-4, random_intervals=True)
    fitted = fit_clock(w.pulses("stream"), w.pulses("clock"))
    assert (np.diff(fitted.apply(np.linspace(-10, 3700, 100_000))) > 0).all()


def test_pulses_that_jitter_more_than_the_tolerance_are_refused(world):
    w = world(edge_jitter_s=5e-3)
    with pytest.raises(ClockError, match=r"agree within 0\.001 s"):
        fit_clock(w.pulses("stream"), w.pulses("clock"))
    fitted = fit_clock(w.pulses("stream"), w.pulses("clock"), tolerance_s=0.05)
    assert np.abs(w.error(fitted)).max() < 5e-3


def test_maps_are_frozen(world):
    fitted = fit_clock(np.arange(9.0), np.arange(9.0))
    assert isinstance(fitted, ClockMap)
    with pytest.raises(dataclasses.FrozenInstanceError):
        fitted.rate_after = 2.0


def test_three_pulses_are_enough_and_two_are_not():
    assert fit_clock([0, 1, 2.0], [5, 6, 7.0]).apply(1.5) == pytest.approx(6.5)
    with pytest.raises(ClockError, match="at least 3"):
        fit_clock([0, 1.0], [5, 6.0])


def test_synchronise_reconciles_both_edges_with_onsets_and_counts_glitches(world):
    w = world(duration_s=600)
    stream, clock = w.pulses("stream"), w.pulses("clock")
    noise = np.array([10.9, 400.05])
    edges = np.concatenate([clock, clock + 0.5, noise, noise + 0.002])
    values = np.concatenate([np.ones(600), np.zeros(600), np.ones(2), np.zeros(2)])
    order = np.argsort(edges)
    fitted = synchronise(stream, None, edges[order], values[order], stream="imec0", clock="nidq")
    assert np.abs(w.error(fitted)).max() < SAMPLE_S
    np.testing.assert_allclose(fitted.report.glitches_in_clock_s, noise)
    assert "2 spurious pulses" in fitted.report.headline


@pytest.mark.parametrize("rate", [30000, 25000, 30000.37, 1000])
def test_the_sample_interval_is_found_from_the_times(rate):
    times = np.sort(np.random.default_rng(1).uniform(0, 900, 900))
    found = estimate_quantum(np.round(times * rate) / rate)
    assert found == pytest.approx(1 / rate, rel=1e-3)
    assert estimate_quantum(times) == 0
    assert estimate_quantum(np.arange(9.0)) == 0


@st.composite
def damaged(draw):
    period = draw(st.sampled_from([0.5, 1.0, 2.0]))
    near = 0.45 * max(period, 1.0)
    return {
        "period_s": period,
        "phase_s": draw(st.floats(0, period)),
        "lead_s": draw(st.floats(0, near)),
        "lag_s": draw(st.floats(0, near)),
        "stream_ppm": draw(st.floats(-500, 500)),
        "thermal_ppm": draw(st.sampled_from([0.0, 2.0])),
        "source_jitter_s": draw(st.sampled_from([0.0, 1e-4])),
        "random_intervals": draw(st.booleans()),
        "duration_s": draw(st.sampled_from([60.0, 300.0])),
        "seed": draw(st.integers(0, 10_000)),
        "losses": draw(st.tuples(*[st.sampled_from([0.0, 0.01, 0.1])] * 2)),
        "extras": draw(st.tuples(*[st.integers(0, 3)] * 2)),
        "spans": draw(st.booleans()),
    }


def found(period, phase, lead, lag, seed, losses, extras, spans, **others):
    """A case that was once silently wrong."""
    case = {"stream_ppm": 0.0, "thermal_ppm": 0.0, "source_jitter_s": 0.0, "duration_s": 300.0}
    case |= {"period_s": period, "phase_s": phase, "lead_s": lead, "lag_s": lag, "seed": seed}
    case |= {"losses": losses, "extras": extras, "spans": spans, "random_intervals": False}
    return case | others


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
# pulses that both streams happen to lack at a wrong offset, against the recordings' spans
@example(case=found(0.5, 0.0, 0.25, 0.0, 0, (0.1, 0.01), (0, 0), True))
@example(case=found(0.5, 0.25, 0.0, 0.45, 5441, (0.01, 0.01), (3, 3), True, thermal_ppm=2.0))
# the same without spans
@example(
    case=found(0.5, 0.4081210519458141, 0.45, 0.1220708705673662, 6242, (0.1, 0.1), (0, 1), False)
)
# a spurious pulse just before its neighbour took a number of its own
@example(case=found(1.0, 1.0, 0.45, 0.45, 3039, (0.01, 0.0), (3, 1), False, duration_s=60.0))
# jitter of few pulses that agreed by accident, 32 s off
@example(
    case=found(
        2.0,
        0.0,
        0.1360842987835866,
        0.9,
        7852,
        (0.01, 0.1),
        (3, 1),
        True,
        duration_s=60.0,
        thermal_ppm=2.0,
        source_jitter_s=1e-4,
    )
)
# a spurious pulse within the tolerance of a lost one
@example(
    case=found(
        2.0,
        0.0,
        0.9,
        0.0,
        2508,
        (0.1, 0.0),
        (3, 2),
        True,
        duration_s=60.0,
        stream_ppm=462.80086066910144,
    )
)
@given(case=damaged())
def test_whatever_is_lost_or_added_no_map_is_silently_wrong(world, case):
    case = dict(case)
    losses, extras, spans = case.pop("losses"), case.pop("extras"), case.pop("spans")
    w = world(**case)
    trains = []
    for which, loss, n_extra in zip(("stream", "clock"), losses, extras, strict=True):
        n = (w.on_stream if which == "stream" else w.on_clock).sum()
        drop = np.flatnonzero(w.rng.random(n) < loss)
        extra = w.rng.uniform(0, w.duration_s, n_extra)
        trains.append(w.pulses(which, drop=drop, extra=extra))
    try:
        fitted = fit_clock(*trains, **(w.spans if spans else {}))
    except ClockError:
        return
    if not fitted.report.ambiguous_offset:
        assert np.abs(w.error(fitted, 2000)).max() < 6e-5
