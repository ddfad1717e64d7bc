"""Samples of the streams, made a second at a time.

Each second has a random source of its own, so that seconds can be made on several threads and in
any order and the file is still the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from labdata.testing.metas import NI_MAX_INT, NI_RANGE_V
from labdata.testing.neurons import N_PHASES, Population
from labdata.testing.timeline import Line
from labdata.testing.truth import ClockTruth, ProbeTruth

#: Noise of a channel, and of what the channels of a shank share, in microvolts.
NOISE_UV, SHARED_NOISE_UV = 7.0, 2.0
#: Relative spread of the size of a neuron's spikes.
AMPLITUDE_SPREAD = 0.05
SYNC_BIT_IMEC = 6
SYNC_BIT_NIDQ, STIM_BIT_NIDQ, CAMERA_BIT_NIDQ = 7, 1, 2
#: Voltage of the photodiode when the stimulus is on.
PHOTODIODE_V = 3.3

Frames = NDArray[np.int16]


def chunks(
    n_samples: int, step: int, make: Callable[[int, int], Frames], *, threads: int
) -> Iterator[Frames]:
    """Make the pieces of a stream on several threads and yield them in order.

    Parameters
    ----------
    n_samples, step : int
        Length of the stream and of a piece.
    make : callable
        ``make(start, stop)`` gives the frames of a range.
    threads : int
        How many are made at once; at most twice that many are held.

    Yields
    ------
    Frames
        The pieces, each of ``step`` samples but the last.
    """
    bounds = iter([(a, min(n_samples, a + step)) for a in range(0, n_samples, step)])
    with ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(make, a, b) for a, b in islice(bounds, 2 * threads)]
        while waiting:
            yield waiting.pop(0).result()
            for a, b in islice(bounds, 1):
                waiting.append(pool.submit(make, a, b))


class ApFrames:
    """Frames of the AP band of a probe: noise, spikes, and the status word with the sync line.

    Parameters
    ----------
    probe : ProbeTruth
        What happened.
    neurons : Population
        The neurons' spikes.
    sync : Line
        The sync line.
    seed : tuple of int
        Seed of the noise.
    max_int : int
        Values are clipped to -max_int .. max_int - 1, as the probe does.
    """

    def __init__(
        self,
        probe: ProbeTruth,
        neurons: Population,
        sync: Line,
        seed: tuple[int, ...],
        *,
        max_int: int,
    ) -> None:
        self._probe, self._sync, self._seed, self._max_int = probe, sync, seed, max_int
        self._bits = (neurons.templates_uv / probe.uv_per_bit).astype(np.float32)
        self._n_pre = neurons.n_pre_samples
        shift = probe.clock.samples_at(probe.spike_times_s) - probe.spike_samples
        self._phase = np.clip(np.floor((shift + 0.5) * N_PHASES), 0, N_PHASES - 1).astype(np.intp)
        scale = np.random.default_rng((*seed, 1)).normal(1.0, AMPLITUDE_SPREAD, shift.size)
        self._scale = scale.astype(np.float32)
        loud = np.abs(self._bits).max(axis=(0, 2)) > 0.5 / probe.uv_per_bit
        self._reach = [np.flatnonzero(channels) for channels in loud]
        self._local = [self._bits[:, u][:, :, reach] for u, reach in enumerate(self._reach)]

    def __call__(self, start: int, stop: int) -> Frames:
        """Return the frames of a range, int16 (stop - start, n_channels + 1)."""
        probe = self._probe
        rng = np.random.default_rng((*self._seed, 2, start))
        n, n_channels = stop - start, probe.channels.size
        bits = rng.standard_normal((n, n_channels), np.float32)
        bits *= np.float32(NOISE_UV / probe.uv_per_bit)
        for shank in np.unique(probe.shank):
            shared = rng.standard_normal((n, 1), np.float32)
            shared *= np.float32(SHARED_NOISE_UV / probe.uv_per_bit)
            on_shank = np.flatnonzero(probe.shank == shank)
            if on_shank.size == n_channels:
                bits += shared
            else:
                bits[:, on_shank] += shared
        self._add_spikes(bits, start, stop)
        np.rint(bits, out=bits)
        np.clip(bits, -self._max_int, self._max_int - 1, out=bits)
        frames = np.empty((n, n_channels + 1), "<i2")
        frames[:, :-1] = bits
        levels = self._sync.levels(probe.clock, start, stop)
        frames[:, -1] = levels.astype(np.int16) << SYNC_BIT_IMEC
        return frames

    def _add_spikes(self, bits: NDArray[np.float32], start: int, stop: int) -> None:
        length = self._bits.shape[2]
        samples = self._probe.spike_samples
        first, last = np.searchsorted(samples, [start - length + self._n_pre, stop + self._n_pre])
        for i in range(int(first), int(last)):
            unit = int(self._probe.spike_units[i])
            at = int(samples[i]) - self._n_pre - start
            a, b = max(at, 0), min(at + length, stop - start)
            if b <= a:
                continue
            spike = self._local[unit][self._phase[i], a - at : b - at] * self._scale[i]
            bits[a:b, self._reach[unit]] += spike


class LfFrames:
    """Frames of the LF band: two rhythms that fade with depth, noise, and the status word.

    Parameters
    ----------
    clock : ClockTruth
        Clock of the band.
    n_channels : int
        Channels saved.
    uv_per_bit : float
        Microvolts a bit.
    sync : Line
        The sync line.
    seed : tuple of int
        Seed of the noise.
    """

    def __init__(
        self,
        clock: ClockTruth,
        n_channels: int,
        uv_per_bit: float,
        sync: Line,
        seed: tuple[int, ...],
    ) -> None:
        self._clock, self._sync, self._seed = clock, sync, seed
        self._scale = 1.0 / uv_per_bit
        self._depth = np.linspace(1.0, 0.4, n_channels)

    def __call__(self, start: int, stop: int) -> Frames:
        """Return the frames of a range, int16 (stop - start, n_channels + 1)."""
        rng = np.random.default_rng((*self._seed, 3, start))
        true_s = self._clock.start_s + np.arange(start, stop) / self._clock.true_rate_hz
        slow = 120 * np.sin(2 * np.pi * 6 * true_s) + 40 * np.sin(2 * np.pi * 40 * true_s)
        uv = slow[:, None] * self._depth + rng.normal(0, 12.0, (true_s.size, self._depth.size))
        frames = np.empty((true_s.size, self._depth.size + 1), "<i2")
        frames[:, :-1] = np.rint(uv * self._scale)
        levels = self._sync.levels(self._clock, start, stop)
        frames[:, -1] = levels.astype(np.int16) << SYNC_BIT_IMEC
        return frames


class NidqFrames:
    """Frames of the NI-DAQ: a photodiode on XA0, and sync, stimulus and camera lines.

    Parameters
    ----------
    clock : ClockTruth
        Clock of the NI-DAQ.
    sync, stim, camera : Line
        Lines on bits 7, 1 and 2.
    seed : tuple of int
        Seed of the photodiode's noise.
    """

    def __init__(
        self, clock: ClockTruth, sync: Line, stim: Line, camera: Line, seed: tuple[int, ...]
    ) -> None:
        self._clock, self._stim, self._seed = clock, stim, seed
        self._lines = {SYNC_BIT_NIDQ: sync, STIM_BIT_NIDQ: stim, CAMERA_BIT_NIDQ: camera}

    def __call__(self, start: int, stop: int) -> Frames:
        """Return the frames of a range, int16 (stop - start, 2)."""
        rng = np.random.default_rng((*self._seed, 4, start))
        frames = np.zeros((stop - start, 2), "<i2")
        for bit, line in self._lines.items():
            levels = line.levels(self._clock, start, stop)
            frames[:, 1] |= levels.astype(np.int16) << bit
            if bit == STIM_BIT_NIDQ:
                volts = PHOTODIODE_V * levels + rng.normal(0.02, 0.01, stop - start)
                frames[:, 0] = np.rint(volts / NI_RANGE_V * NI_MAX_INT)
        return frames
