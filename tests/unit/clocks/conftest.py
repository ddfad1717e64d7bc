"""Two clocks with a known relation, watching one pulse generator."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest


@dataclass
class World:
    """True time t is seen as stream(t) and clock(t); pulses are quantised to samples.

    The stream drifts by `stream_ppm` and, as it warms and cools, by up to `thermal_ppm` more with
    a period of 20 minutes. The clock starts `lead_s` before the stream and runs `lag_s` longer.
    """

    duration_s: float = 3600.0
    period_s: float = 1.0
    phase_s: float = 0.1234
    lead_s: float = 0.0
    lag_s: float = 0.0
    stream_ppm: float = 18.0
    clock_ppm: float = -27.0
    thermal_ppm: float = 0.0
    stream_rate_hz: float = 30000.0
    clock_rate_hz: float = 25000.0
    source_jitter_s: float = 0.0
    edge_jitter_s: float = 0.0
    random_intervals: bool = False
    seed: int = 0
    true_s: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        first = -self.lead_s - 2 * self.period_s
        if self.random_intervals:
            n = int((self.duration_s + self.lead_s + self.lag_s) / self.period_s * 1.5) + 20
            steps = self.rng.uniform(0.5, 1.5, n) * self.period_s
            self.true_s = first + self.phase_s + np.cumsum(steps)
        else:
            lo = int(np.floor(first / self.period_s))
            hi = int((self.duration_s + self.lag_s) / self.period_s) + 3
            self.true_s = self.phase_s + np.arange(lo, hi) * self.period_s
        if self.source_jitter_s:
            self.true_s = self.true_s + self.rng.normal(0, self.source_jitter_s, len(self.true_s))
        self.on_stream = (self.true_s >= 0) & (self.true_s < self.duration_s)
        self.on_clock = (self.true_s >= -self.lead_s) & (
            self.true_s < self.duration_s + self.lag_s
        )

    def stream(self, t):
        wave = 1200 / (2 * np.pi)
        warm = self.thermal_ppm * 1e-6 * wave * np.sin(np.asarray(t) / wave)
        return np.asarray(t) * (1 + self.stream_ppm * 1e-6) + warm

    def clock(self, t):
        return (np.asarray(t) + self.lead_s) * (1 + self.clock_ppm * 1e-6)

    def pulses(self, which, *, drop=(), extra=()):
        """Onsets as logged; `drop` positions of the train, `extra` true times of spurious ones."""
        seen = self.true_s[self.on_stream if which == "stream" else self.on_clock]
        seen = np.sort(np.concatenate([np.delete(seen, list(drop)), np.asarray(extra, float)]))
        rate = self.stream_rate_hz if which == "stream" else self.clock_rate_hz
        times = self.stream(seen) if which == "stream" else self.clock(seen)
        if self.edge_jitter_s:
            times = np.sort(times + self.rng.normal(0, self.edge_jitter_s, len(times)))
        return np.ceil(times * rate) / rate

    @property
    def spans(self):
        return {
            "stream_span_s": (0.0, float(self.stream(self.duration_s))),
            "clock_span_s": (0.0, float(self.clock(self.duration_s + self.lag_s))),
        }

    def error(self, fitted, n=20000, *, at=None):
        """Map error in seconds at random times between the first and last matched pulse."""
        if at is None:
            first, last = fitted.stream_knots_s[[0, -1]]
            at = self.rng.uniform(first, last, n) / (1 + self.stream_ppm * 1e-6)
        return fitted.apply(self.stream(at)) - self.clock(at)


@pytest.fixture
def world():
    return World
