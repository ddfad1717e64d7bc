"""What happens in a synthetic session, in true time: sync pulses, stimuli, camera frames.

Lines are kept as on and off times and become samples only through a clock: a line is on in the
first sample at or after its on time, as in a real digitiser.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labdata.errors import FormatError
from labdata.testing.truth import ClockTruth

#: Width of a pulse that only one device has, in seconds.
SPURIOUS_WIDTH_S = 0.004
CAMERA_RATE_HZ = 30.0
CAMERA_WIDTH_S = 0.005
N_ORIENTATIONS = 8


@dataclass(frozen=True, eq=False)
class Line:
    """A digital line: on from each ``on_s`` to its ``off_s`` (float64, true seconds)."""

    on_s: NDArray[np.float64]
    off_s: NDArray[np.float64]

    def edges(self, clock: ClockTruth) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the samples of rises and of falls that a stream has.

        A line that is on in the first sample has no rise there, as nothing changed.

        Parameters
        ----------
        clock : ClockTruth
            Of the stream.
        """
        rise, fall = (clock.first_samples_from(t) for t in (self.on_s, self.off_s))
        seen = fall > rise
        rise, fall = rise[seen], fall[seen]
        return (
            rise[(rise > 0) & (rise < clock.n_samples)],
            fall[(fall > 0) & (fall < clock.n_samples)],
        )

    def levels(self, clock: ClockTruth, start: int, stop: int) -> NDArray[np.bool_]:
        """Return whether the line is on, bool (stop - start,).

        Parameters
        ----------
        clock : ClockTruth
            Of the stream.
        start, stop : int
            Half-open range of samples.
        """
        rise, fall = (clock.first_samples_from(t) for t in (self.on_s, self.off_s))
        level = np.zeros(stop - start, bool)
        for a, b in zip(rise, fall, strict=True):
            if b > start and a < stop:
                level[max(a - start, 0) : b - start] = True
        return level


@dataclass(frozen=True, eq=False)
class Stimuli:
    """Stimuli in order of time: orientation number, degrees, repeat number and their line."""

    line: Line
    stim: NDArray[np.int64]
    orientation_deg: NDArray[np.float64]
    trial: NDArray[np.int64]


def sync_line(
    rng: np.random.Generator,
    begin_s: float,
    end_s: float,
    *,
    period_s: float = 1.0,
    jitter_s: float = 0.0,
) -> Line:
    """Make the pulse train that every stream records.

    Parameters
    ----------
    rng : Generator
        Source of the phase and the jitter.
    begin_s, end_s : float
        The train covers this, in true seconds.
    period_s : float, optional
        Mean interval; pulses are on for half of it.
    jitter_s : float, optional
        Each pulse is displaced by up to this; 0 gives the square wave of a SpikeGLX rig, which
        looks the same after any whole number of periods.

    Returns
    -------
    Line
        Rises and falls, true seconds.

    Raises
    ------
    FormatError
        If the jitter is a quarter of the interval or more, or negative.
    """
    if not 0 <= jitter_s < period_s / 4:
        raise FormatError(
            f"A jitter of {jitter_s:g} s does not fit pulses every {period_s:g} s.",
            hint="Keep it below a quarter of the period.",
        )
    on = np.arange(begin_s + rng.uniform(0, period_s), end_s + period_s, period_s)
    on = on + rng.uniform(-jitter_s, jitter_s, on.size)
    return Line(on, on + period_s / 2)


def damage(
    rng: np.random.Generator, line: Line, drop: int | Sequence[int], n_spurious: int
) -> tuple[Line, NDArray[np.int64], NDArray[np.float64]]:
    """Lose pulses of a line and add others.

    Parameters
    ----------
    rng : Generator
        Chooses which.
    line : Line
        The whole line.
    drop : int or sequence of int
        How many pulses to lose, never the first or last two; or which.
    n_spurious : int
        Short pulses to add in the gaps.

    Returns
    -------
    damaged : Line
    dropped : ndarray of int64
        Indices of the lost pulses.
    spurious_s : ndarray of float64
        True times of the added pulses.

    Raises
    ------
    FormatError
        If a pulse that is to be lost is not there.
    """
    n = line.on_s.size
    if isinstance(drop, int):
        inner = np.arange(2, max(n - 2, 2))
        dropped = np.sort(rng.choice(inner, min(drop, inner.size), replace=False))
    else:
        dropped = np.unique(np.asarray(drop, np.int64))
    if dropped.size and not 0 <= dropped.min() <= dropped.max() < n:
        raise FormatError(f"There are {n} sync pulses, asked to drop {dropped.tolist()}.")
    gaps = np.sort(rng.choice(max(n - 1, 0), min(n_spurious, max(n - 1, 0)), replace=False))
    room = line.on_s[gaps + 1] - line.off_s[gaps]
    spurious = line.off_s[gaps] + room * rng.uniform(0.3, 0.6, gaps.size)
    on = np.concatenate([np.delete(line.on_s, dropped), spurious])
    off = np.concatenate([np.delete(line.off_s, dropped), spurious + SPURIOUS_WIDTH_S])
    order = np.argsort(on)
    return Line(on[order], off[order]), dropped.astype(np.int64), spurious


def stimuli(
    rng: np.random.Generator, duration_s: float, *, period_s: float, width_s: float
) -> Stimuli:
    """Make oriented stimuli in shuffled blocks, each orientation equally often.

    Parameters
    ----------
    rng : Generator
        Source of order and jitter.
    duration_s : float
        Stimuli begin after 1 s and end before this.
    period_s, width_s : float
        Mean interval between onsets, and how long each lasts.

    Returns
    -------
    Stimuli
        Their line, kinds, orientations and trials, in order of time.
    """
    room_s = duration_s - 1.0 - period_s
    n = max(0, int(room_s / period_s))
    n_kinds = max(1, min(N_ORIENTATIONS, n))
    repeats = n // n_kinds
    order = [rng.permutation(n_kinds) for _ in range(repeats)]
    stim = np.concatenate(order) if order else np.zeros(0, np.int64)
    on = 1.0 + np.arange(stim.size) * period_s
    on = on + rng.uniform(0.0, 0.25 * (period_s - width_s), stim.size)
    return Stimuli(
        line=Line(on, on + width_s),
        stim=stim.astype(np.int64),
        orientation_deg=stim * 180.0 / N_ORIENTATIONS,
        trial=np.repeat(np.arange(repeats), n_kinds).astype(np.int64),
    )


def camera_line(duration_s: float) -> Line:
    """Make the frame pulses of a camera that runs within the session.

    Parameters
    ----------
    duration_s : float
        Length of the session.

    Returns
    -------
    Line
        Rises and falls, true seconds.
    """
    on = np.arange(0.4, duration_s - 0.1, 1 / CAMERA_RATE_HZ)
    return Line(on, on + CAMERA_WIDTH_S)
