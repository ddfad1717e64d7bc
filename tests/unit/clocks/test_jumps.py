"""A clock that jumps against the other is refused: no map is right on both sides of a jump."""

import numpy as np
import pytest

from labdata.clocks import fit_clock, match_pulses
from labdata.clocks.jumps import find_jump
from labdata.errors import ClockError


def lose(pulses_s, at_s, lost_s, rate_hz=30000.0):
    """Pulses of a stream that recorded nothing for `lost_s` and counted on as if it had."""
    before, after = pulses_s[pulses_s < at_s], pulses_s[pulses_s >= at_s + lost_s]
    return np.concatenate([before, after - round(lost_s * rate_hz) / rate_hz])


def jump_told(error):
    return float(str(error).partition("jumps by ")[2].split()[0])


@pytest.mark.parametrize("where", [0.12, 0.5, 0.8])
@pytest.mark.parametrize("lost_s", [0.004, 0.25, 0.7, 12.38])
@pytest.mark.parametrize(
    "kind", [{}, {"random_intervals": True}, {"source_jitter_s": 0.05}], ids=str
)
def test_samples_that_were_lost_are_never_bridged(world, kind, lost_s, where):
    w = world(duration_s=900.0, **kind)
    at_s = where * w.duration_s
    stream = lose(w.pulses("stream"), at_s, lost_s)
    spans = w.spans | {"stream_span_s": (0.0, w.spans["stream_span_s"][1] - lost_s)}
    with pytest.raises(ClockError) as caught:
        fit_clock(stream, w.pulses("clock"), **spans, stream="imec0", clock="nidq")
    if "jumps by" in str(caught.value):
        # of regular pulses all but the whole periods is known
        period = np.inf if kind.get("random_intervals") else 1.0
        off = abs(jump_told(caught.value) - lost_s)
        assert min(off % period, -off % period) < 1e-3


@pytest.mark.parametrize("lost_s", [1.0, 3.0])
def test_whole_periods_that_were_lost_show_where_the_pulses_are_irregular(world, lost_s):
    w = world(duration_s=900.0, random_intervals=True)
    stream = lose(w.pulses("stream"), 500.0, lost_s)
    with pytest.raises(ClockError, match=r"between 499\.\d+ and 500\.") as caught:
        fit_clock(stream, w.pulses("clock"))
    assert abs(jump_told(caught.value) - lost_s) < 1e-3


def test_pulses_that_only_one_side_has_at_its_ends_are_no_jump(world):
    w = world(duration_s=300.0, lead_s=20.0, lag_s=30.0, random_intervals=True)
    match = match_pulses(w.pulses("stream"), w.pulses("clock"))
    assert len(match.outside_clock) > 40 and len(match.outside_stream) == 0
    assert match.n_matched == w.on_stream.sum()


def test_pulses_of_both_sides_beyond_the_last_pair_are_told(world):
    w = world(duration_s=300.0)
    stream, clock = w.pulses("stream"), w.pulses("clock")
    stream = np.append(stream[:-2], stream[-2:] - 0.3)  # too few to tell where they belong
    report = fit_clock(stream, clock, **w.spans).report
    assert report.n_contested == 2
    assert any("2 pulses of stream before the first or after" in text for text in report.warnings)
    assert fit_clock(w.pulses("stream"), clock, **w.spans).report.n_contested == 0


@pytest.mark.parametrize(("rate_hz", "n_pulses"), [(30000.0, 20), (1000.0, 40)])
def test_short_stretches_of_pulses_an_hour_apart_are_no_jump(rate_hz, n_pulses):
    rng = np.random.default_rng(3)
    for _ in range(20):
        bursts = [start + np.cumsum(rng.uniform(0.5, 1.5, n_pulses)) for start in (2.0, 3600.0)]
        true = np.concatenate(bursts)
        ppm = rng.uniform(-80, 80)
        x, y = (
            np.ceil(t * r) / r for t, r in ((true, 30000.0), (true * (1 + ppm * 1e-6), rate_hz))
        )
        assert find_jump(x, y, 1e-3) is None


def test_a_bend_of_crystals_over_a_pause_is_no_jump():
    x = np.concatenate([np.arange(100.0), np.arange(1000.0, 1100.0)])
    y = x + 1e-5 * np.clip(x - 100.0, 0.0, 900.0)  # 9 ms later after 15 min without a pulse
    assert find_jump(x, y, 1e-3) is None
    y[100:] += 0.03
    jump = find_jump(x, y, 1e-3)
    assert jump is not None and (jump.after_s, jump.before_s) == (99.0, 1000.0)
    assert abs(jump.step_s - 0.039) < 1e-3


@pytest.mark.parametrize("apart_s", [0.2, -0.2, 3.2, -3.2])
def test_recordings_of_one_start_that_end_apart_are_told(world, apart_s):
    w = world(duration_s=100.0)
    spans = w.spans | {"clock_span_s": (0.0, w.spans["clock_span_s"][1] + apart_s)}
    report = fit_clock(w.pulses("stream"), w.pulses("clock"), offset_hint_s=0.0, **spans).report
    assert report.evidence == "hint" and abs(report.ends_apart_s - apart_s) < 1e-3
    said = [text for text in report.warnings if "lost" in text]
    assert (len(said) == 1) == (abs(apart_s) > 0.5)
    assert not said or ("before" if apart_s > 0 else "after") in said[0]
