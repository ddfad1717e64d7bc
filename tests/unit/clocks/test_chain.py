"""Clocks in a row, against the true time that all of them count."""

from __future__ import annotations

import json

import numpy as np
import pytest

from labdata.clocks import ChainReport, fit_clock, join_maps, tabulate
from labdata.errors import ClockError

#: Name -> start (s), rate error (ppm), sampling rate (Hz).
CLOCKS = {
    "imec1": (0.40, 21.0, 30000.0),
    "imec0": (0.00, -8.0, 30000.0),
    "nidq": (-3.2, 35.0, 25000.0),
    "box": (110.0, -60.0, 10000.0),
}


def seen(name, true_s):
    """Return what a clock says at true times, before it is sampled; it warms up, too."""
    start, ppm, rate = CLOCKS[name]
    warm = 2e-6 * 300.0 * np.sin(true_s / 300.0 + rate)
    return start + true_s * (1 + ppm * 1e-6) + warm


def logged(name, true_s):
    rate = CLOCKS[name][2]
    return np.ceil(seen(name, true_s) * rate) / rate


def relate(stream, clock, pulses, *, drop=()):
    """Relate two neighbours by pulses at true times, of which the stream missed some."""
    mine = np.delete(pulses, list(drop))
    return fit_clock(logged(stream, mine), logged(clock, pulses), stream=stream, clock=clock)


@pytest.fixture
def chain():
    """Each pair has a generator of its own, which ran for another time."""
    rng = np.random.default_rng(4)
    trains = [np.cumsum(rng.uniform(0.5, 1.5, 1800)) + begin for begin in (5.0, 60.0, 20.0)]
    names = list(CLOCKS)
    return [relate(a, b, p) for a, b, p in zip(names, names[1:], trains, strict=False)], trains


def test_times_are_those_of_the_last_clock(chain):
    maps, trains = chain
    joined = join_maps(*maps)
    assert (joined.stream, joined.clock) == ("imec1", "box")
    first, last = max(t[0] for t in trains), min(t[-1] for t in trains)
    true_s = np.random.default_rng(1).uniform(first, last, 50_000)
    error = joined.apply(seen("imec1", true_s)) - seen("box", true_s)
    # half a sample of the box is a bias of its own: an edge is logged at the next one
    assert np.abs(error - np.median(error)).max() < 30e-6
    assert abs(np.median(error)) < 1.5e-4
    assert np.abs(error).max() < joined.report.residual_max_s + 1e-4


def test_it_is_one_map_after_the_other(chain):
    maps, _ = chain
    joined = join_maps(*maps)
    times = np.linspace(-100.0, 4000.0, 100_003)
    step = times
    for one in maps:
        step = one.apply(step)
    np.testing.assert_allclose(joined.apply(times), step, rtol=0, atol=5e-9)
    samples = np.arange(0, 10**8, 12_347)
    np.testing.assert_allclose(
        tabulate(joined, 30000.0).apply(samples), joined.apply(samples / 30000.0), atol=1e-10
    )


def test_a_time_that_one_of_them_extrapolates_is_extrapolated(chain):
    maps, trains = chain
    joined = join_maps(*maps)
    step, outside = np.linspace(-10.0, 2500.0, 30_001), False
    flags = joined.extrapolated(step)
    for one in maps:
        outside = outside | one.extrapolated(step)
        step = one.apply(step)
    np.testing.assert_array_equal(flags, outside)
    assert 0 < flags.sum() < len(flags)
    begin, end = joined.covered_s
    assert begin == pytest.approx(seen("imec1", trains[1][0]), abs=1e-3)
    assert end == pytest.approx(seen("imec1", min(t[-1] for t in trains)), abs=1e-3)
    samples = np.arange(0, 3 * 10**7, 30_011)
    counted = tabulate(joined, 30000.0).count_extrapolated(samples)
    assert counted == joined.extrapolated(samples / 30000.0).sum()


def test_the_way_back_is_the_inverse(chain):
    joined = join_maps(*chain[0])
    times = np.linspace(100.0, 1500.0, 1001)
    np.testing.assert_allclose(joined.invert().apply(joined.apply(times)), times, atol=1e-9)
    assert joined.invert().covered_s == pytest.approx(joined.apply(joined.covered_s))


def test_the_report_adds_up_what_each_link_says():
    rng = np.random.default_rng(7)
    pulses = [np.cumsum(rng.uniform(0.5, 1.5, 900)) for _ in range(2)]
    maps = relate("imec1", "imec0", pulses[0], drop=[50]), relate("imec0", "nidq", pulses[1])
    report = join_maps(*maps).report
    assert isinstance(report, ChainReport)
    assert report.chain == "imec1 > imec0 > nidq"
    assert report.headline.startswith("nidq · ") and "through imec0" in report.headline
    assert "imec1: 1 pulse lost" in report.headline
    assert report.n_dropped == 1
    assert report.residual_max_s == sum(m.report.residual_max_s for m in maps)
    assert report.drift_ppm == pytest.approx(sum(m.report.drift_ppm for m in maps), abs=1e-2)
    zero = maps[1].report.offset_s + maps[0].report.offset_s
    assert report.offset_s == pytest.approx(zero, abs=1e-4)
    attrs = report.to_attrs()
    assert (attrs["clock"], attrs["stream"]) == ("nidq", "imec1")
    assert attrs["sync_chain"] == report.chain
    assert ChainReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report
    assert attrs["stream_sync_n_dropped"] == 1
    assert "imec1 on imec0: imec1 dropped 1 pulse" in str(attrs["sync_note"])
    assert set(maps[0].report.to_attrs()) <= set(attrs) | {"sync_note"}
    assert json.loads(json.dumps(report.to_dict()))["links"][0]["n_matched"] == 899
    assert "imec1 &gt; imec0 &gt; nidq" in report._repr_html_()
    assert "imec0" in str(report)


def test_one_map_is_left_as_it_is(chain):
    assert join_maps(chain[0][0]) is chain[0][0]


def test_joined_step_by_step_is_the_same(chain):
    maps, _ = chain
    stepwise = join_maps(join_maps(maps[0], maps[1]), maps[2])
    whole = join_maps(*maps)
    times = np.linspace(0.0, 2000.0, 1001)
    np.testing.assert_array_equal(stepwise.apply(times), whole.apply(times))
    assert stepwise.report.chain == whole.report.chain


def test_what_cannot_be_joined_is_refused(chain):
    maps, _ = chain
    with pytest.raises(ClockError, match="to imec0 cannot be followed by one from nidq"):
        join_maps(maps[0], maps[2])
    with pytest.raises(ClockError, match="No clock maps"):
        join_maps()
    late = np.arange(9000.0, 9100.0) + np.random.default_rng(0).uniform(0, 0.3, 100)
    with pytest.raises(ClockError, match="share no time"):
        join_maps(maps[0], relate("imec0", "nidq", late))
