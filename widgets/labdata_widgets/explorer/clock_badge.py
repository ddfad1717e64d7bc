"""The badge that says on which clock times are, and how good that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ClockBadge:
    """What the badge shows.

    Attributes
    ----------
    text : str
        For instance ``nidq · 12 µs · 1 pulse lost``.
    explanation : str
        A sentence or two, shown on hover and to screen readers.
    amber : bool
        Whether the reader has to be warned.
    """

    text: str
    explanation: str
    amber: bool


def clock_badge(attrs: Mapping[str, Any]) -> ClockBadge:
    """Return the badge of a dataset.

    Parameters
    ----------
    attrs : mapping
        Attributes of a labdata dataset.

    Returns
    -------
    ClockBadge
        Amber if the times are unsynchronised, or the synchronisation left a note.
    """
    stream, clock = str(attrs.get("stream", "")), str(attrs.get("clock", ""))
    if not attrs.get("synced", 0):
        return ClockBadge(
            f"{clock or 'unknown clock'} · not synchronised",
            f"Times are on the own clock of {stream or 'the stream'}: sample number divided by "
            "the sampling rate. Do not compare them with other streams. To synchronise, insert "
            "into StreamSync which lines carry the common pulses.",
            True,
        )
    note = str(attrs.get("sync_note", ""))
    text = str(attrs.get("sync_headline", clock))
    parts = [f"Times of {stream} are on the clock {clock}."]
    if "stream_sync_n_pulses" in attrs:
        parts.append(f"{int(attrs['stream_sync_n_pulses'])} pulses matched.")
    if "sync_residual_max_s" in attrs:
        parts.append(f"Largest error {float(attrs['sync_residual_max_s']) * 1e6:.3g} µs.")
    if int(attrs.get("stream_n_extrapolated", 0)):
        parts.append(f"{int(attrs['stream_n_extrapolated'])} spikes lie outside the pulses.")
    parts += [note] if note else []
    return ClockBadge(text, " ".join(parts), bool(note))
