"""Faults of the old package that must not come back, by their number."""

import numpy as np
import pytest

from labdata.clocks import fit_clock
from labdata.errors import ClockError


@pytest.mark.parametrize("side", ["stream", "clock"])
def test_fault_05_one_missing_sync_pulse_neither_unsyncs_nor_shifts_by_a_period(world, side):
    w = world()
    drop = {side: [1800]}
    stream = w.pulses("stream", drop=drop.get("stream", ()))
    clock = w.pulses("clock", drop=drop.get("clock", ()))
    fitted = fit_clock(stream, clock, **w.spans)
    # Paired by index, everything after the missed pulse is off by one second.
    by_index = np.interp(w.stream(3000.0), stream[:3599], clock[:3599]) - w.clock(3000.0)
    assert abs(by_index) > 0.9
    assert np.abs(w.error(fitted)).max() < 1 / 30000
    assert fitted.report.n_dropped == 1


def test_fault_05_what_cannot_be_synchronised_is_an_error_not_the_own_clock(world):
    w = world()
    with pytest.raises(ClockError):
        fit_clock(w.pulses("stream"), np.random.default_rng(0).uniform(0, 3600, 3600).cumsum())


def test_fault_07_jitter_does_not_throw_times_after_the_last_pulse(world):
    w = world(edge_jitter_s=1e-4)
    fitted = fit_clock(w.pulses("stream"), w.pulses("clock"), **w.spans)
    # A cubic spline through these pulses was 6.2 s off here.
    assert abs(float(w.error(fitted, at=3660.0))) < 3e-4
    assert abs(float(w.error(fitted, at=-60.0))) < 3e-4
