"""Model neurons: where they sit, what their spikes look like, and when they fire.

A spike is a negative Gaussian trough followed by a slower positive one. Over distance it shrinks,
widens and arrives later, so that each neuron has a footprint of its own on the probe, which is
what a spike sorter needs and real neurons have. Distances and widths are of the order seen in
cortex; the aim is a recording in which the truth is known, not a model of a cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Templates exist at this many shifts within a sample, because spikes do not wait for samples.
N_PHASES = 8
#: Length of a template before and after its trough, in milliseconds.
PRE_MS, POST_MS = 1.0, 2.2
#: Distance at which a spike has lost about two thirds of its size, in micrometres.
DECAY_UM = 30.0
#: Shortest interval between spikes of a neuron, in seconds.
REFRACTORY_S = 0.0025
#: When a stimulus drives a neuron after its onset, in seconds.
RESPONSE_S = (0.04, 0.24)


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons around one probe.

    Parameters
    ----------
    positions_um : ndarray of float64, shape (n, 3)
        (x, depth, distance from the probe's plane).
    amplitudes_uv : ndarray of float64, shape (n,)
        Peak to peak on the best channel, in microvolts.
    templates_uv : ndarray of float32, shape (N_PHASES, n, n_template_samples, n_channels)
        Spikes at each shift within a sample, in microvolts.
    n_pre_samples : int
        Samples before the trough.
    base_rates_hz : ndarray of float64, shape (n,)
        Spikes per second without a stimulus.
    preferred_deg : ndarray of float64, shape (n,)
        Preferred orientation; NaN when not driven.
    """

    positions_um: NDArray[np.float64]
    amplitudes_uv: NDArray[np.float64]
    templates_uv: NDArray[np.float32]
    n_pre_samples: int
    base_rates_hz: NDArray[np.float64]
    preferred_deg: NDArray[np.float64]


def make_population(
    rng: np.random.Generator, contacts_um: NDArray[np.float64], n_units: int, rate_hz: float
) -> Population:
    """Place neurons near the contacts of a probe and give them spikes.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    contacts_um : ndarray of float64, shape (n_channels, 2)
        Contacts that are recorded.
    n_units : int
        Number of neurons.
    rate_hz : float
        Sampling rate.

    Returns
    -------
    Population
    """
    positions = _place(rng, contacts_um, n_units)
    n_pre = round(PRE_MS * 1e-3 * rate_hz)
    n_post = round(POST_MS * 1e-3 * rate_hz)
    shapes = np.stack(
        [
            rng.uniform(0.09, 0.16, n_units),
            rng.uniform(0.22, 0.4, n_units),
            rng.uniform(0.25, 0.5, n_units),
        ],
        axis=1,
    )  # trough width, repolarisation width (ms), relative size
    # A phase is the time of the trough after its nearest sample, from -1/2 to 1/2 sample.
    phases = (np.arange(N_PHASES) + 0.5) / N_PHASES - 0.5
    times_ms = (np.arange(-n_pre, n_post)[None] - phases[:, None]) * 1e3 / rate_hz
    templates = np.stack(
        [_template(times_ms, positions[u], shapes[u], contacts_um) for u in range(n_units)], axis=1
    )
    wanted = np.exp(rng.uniform(np.log(90.0), np.log(350.0), n_units))
    size = np.ptp(templates.mean(axis=0), axis=1).max(axis=1)
    templates *= (wanted / size)[None, :, None, None]
    driven = np.arange(n_units) % 2 == 0
    return Population(
        positions_um=positions,
        amplitudes_uv=wanted,
        templates_uv=templates.astype(np.float32),
        n_pre_samples=n_pre,
        base_rates_hz=rng.uniform(3.0, 10.0, n_units),
        preferred_deg=np.where(driven, rng.integers(0, 8, n_units) * 22.5, np.nan),
    )


def fire(
    rng: np.random.Generator,
    base_rate_hz: float,
    preferred_deg: float,
    duration_s: float,
    onsets_s: NDArray[np.float64],
    orientations_deg: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Draw the spike times of one neuron.

    A Poisson process whose rate rises by up to 60 spikes/s in the response window of a stimulus,
    by the von Mises tuning exp(2 (cos 2(theta - preferred) - 1)), thinned to the refractory
    period.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    base_rate_hz : float
        Rate without a stimulus.
    preferred_deg : float
        Preferred orientation; NaN for none.
    duration_s : float
        Times are within 0 and this.
    onsets_s, orientations_deg : ndarray of float64, shape (n_stimuli,)
        Onset and orientation of each stimulus.

    Returns
    -------
    ndarray of float64
        True times in seconds, ascending.
    """
    extra_hz = np.zeros(onsets_s.size)
    if np.isfinite(preferred_deg):
        angle = np.deg2rad(orientations_deg - preferred_deg)
        extra_hz = 60.0 * np.exp(2.0 * (np.cos(2.0 * angle) - 1.0))
    begin, end = RESPONSE_S
    counts = rng.poisson(extra_hz * (end - begin))
    evoked = np.repeat(onsets_s, counts) + rng.uniform(begin, end, int(counts.sum()))
    spontaneous = rng.uniform(0.0, duration_s, rng.poisson(base_rate_hz * duration_s))
    times = np.sort(np.concatenate([spontaneous, evoked[evoked < duration_s]]))
    return _thin(times)


def _thin(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Drop each spike that comes within the refractory period of the last one kept."""
    kept, last = [], -np.inf
    for time_s in times_s.tolist():
        if time_s - last >= REFRACTORY_S:
            kept.append(time_s)
            last = time_s
    return np.array(kept, np.float64)


def _place(
    rng: np.random.Generator, contacts_um: NDArray[np.float64], n_units: int
) -> NDArray[np.float64]:
    """Return places near contacts, each the farthest of several tries from the others."""
    places = np.empty((n_units, 3))
    for unit in range(n_units):
        tries = np.empty((30, 3))
        tries[:, :2] = contacts_um[rng.integers(len(contacts_um), size=30)]
        tries[:, :2] += rng.uniform(-8.0, 8.0, (30, 2))
        tries[:, 2] = rng.uniform(12.0, 25.0, 30)
        gaps = np.linalg.norm(tries[:, None, :2] - places[None, :unit, :2], axis=2)
        places[unit] = tries[np.argmax(gaps.min(axis=1, initial=np.inf))]
    return places


def _template(
    times_ms: NDArray[np.float64],
    position_um: NDArray[np.float64],
    shape: NDArray[np.float64],
    contacts_um: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the spike on every contact, shape (N_PHASES, n_template_samples, n_channels)."""
    trough_ms, repolarisation_ms, ratio = shape
    distance = np.sqrt(((contacts_um - position_um[:2]) ** 2).sum(axis=1) + position_um[2] ** 2)
    nearest = distance.min()
    loss = ((1 + (nearest / DECAY_UM) ** 2) / (1 + (distance / DECAY_UM) ** 2)) ** 1.5
    delay_ms = (distance - nearest) / 500.0  # 0.5 m/s
    widening = 1.0 + (distance - nearest) / 300.0
    time = (times_ms[:, :, None] - delay_ms) / widening
    fine_ms = np.linspace(-0.1, 0.1, 2001)  # the later part pulls the minimum forward a little
    early_ms = fine_ms[_wave(fine_ms, trough_ms, repolarisation_ms, ratio).argmin()]
    wave = _wave(time + early_ms, trough_ms, repolarisation_ms, ratio)
    taper = np.clip((times_ms - times_ms[:, :1]) / 0.2, 0, 1) * np.clip(
        (times_ms[:, -1:] - times_ms) / 0.4, 0, 1
    )
    return np.asarray(wave * taper[:, :, None] * loss, np.float64)


def _wave(
    time_ms: NDArray[np.float64], trough_ms: float, repolarisation_ms: float, ratio: float
) -> NDArray[np.float64]:
    late = (time_ms - trough_ms - 1.5 * repolarisation_ms) / repolarisation_ms
    trough = np.exp(-0.5 * (time_ms / trough_ms) ** 2)
    return np.asarray(ratio * np.exp(-0.5 * late**2) - trough, np.float64)
