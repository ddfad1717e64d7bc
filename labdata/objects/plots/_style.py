"""What all plots share: axes, colours, the thin line at the event, the note on the clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labdata.errors import MissingPackageError, ObjectError

#: Okabe and Ito (2008), without yellow, which is too light on white.
CATEGORIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
#: Dark enough on white: contrast 4.9 to 1.
AMBER = "#9A5B00"
#: Grey of what is not data.
QUIET = "#6B6B6B"
#: Largest firing rate that has a colour of its own, Hz.
MOST_HZ = 30.0
#: Units that are named one by one.
MOST_LABELS = 25
#: Above so many marks a plot counts them instead.
MOST_MARKS = 50_000
#: What is said where there is nothing to draw.
NO_SPIKES = "no spikes"


def axes_or_current(ax: Any) -> Any:
    """Return axes to draw in: those given, or the current ones.

    Parameters
    ----------
    ax : matplotlib.axes.Axes or None

    Raises
    ------
    MissingPackageError
        If matplotlib is not installed.
    """
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as missing:
        raise MissingPackageError("matplotlib", "notebook") from missing
    return plt.gca()


def wants_screen(backend: str, ax: Any) -> bool:
    """Return whether a plot is for a screen, with Bokeh, else it is for paper.

    Parameters
    ----------
    backend : {"matplotlib", "bokeh"}
        As the user gave it.
    ax : object or None
        Where to draw, which is of matplotlib.

    Raises
    ------
    ObjectError
        If there is no such backend, or `ax` is given to Bokeh.
    MissingPackageError
        If Bokeh is wanted and not installed.
    """
    if backend == "matplotlib":
        return False
    if backend != "bokeh":
        raise ObjectError(f"There is no backend {backend!r}.", hint='Use "matplotlib" or "bokeh".')
    if ax is not None:
        raise ObjectError(
            "A plot for Bokeh makes its own figure, and takes no axes.",
            hint="Leave ax out; bokeh.layouts puts figures together.",
        )
    try:
        import bokeh  # noqa: F401
    except ImportError as missing:
        raise MissingPackageError("bokeh", "widgets") from missing
    return True


def tidy_axes(ax: Any) -> None:
    """Take away the lines that frame nothing.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    """
    ax.spines[["top", "right"]].set_visible(False)


def name_lines(ax: Any, title: str = "") -> None:
    """Name the lines in a legend through which what lies below it is seen, but does not hide it.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    title : str, optional
        Of the legend.
    """
    legend = ax.legend(title=title or None, fontsize=7, title_fontsize=7, framealpha=0.8)
    legend.get_frame().set(edgecolor="none", boxstyle="square,pad=0")


def say_nothing(ax: Any, text: str) -> None:
    """Write in the middle of axes why nothing is drawn in them.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    text : str
        What there is none of: ``no spikes``; empty where something is drawn.
    """
    if text:
        where = {"xycoords": "axes fraction", "ha": "center", "va": "center"}
        ax.annotate(text, (0.5, 0.5), color=QUIET, fontsize=9, **where)


def mark_event(ax: Any, *, on_picture: bool = False) -> None:
    """Draw a thin line at time zero, where the event is.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    on_picture : bool
        White and above what is drawn, which is dark there; else grey and below it.
    """
    color, order = ("white", 3) if on_picture else (QUIET, 0)
    ax.axvline(0.0, color=color, linewidth=0.6, zorder=order)


def note_clock(ax: Any, attrs: Mapping[str, Any]) -> None:
    """Write above the axes which clock the times are on and how good it is.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    attrs : mapping
        Attributes of the object that is drawn.
    """
    unsynced = attrs.get("synced") == 0
    ax.annotate(
        clock_note(attrs),
        (1.0, 1.0),
        xytext=(0, 3),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=7,
        color=AMBER if unsynced else QUIET,
        fontweight="bold" if unsynced else "normal",
    )


def clock_note(attrs: Mapping[str, Any]) -> str:
    """Return in a few words which clock times are on: ``nidq · 12 µs · 1 pulse lost``.

    Parameters
    ----------
    attrs : mapping
        Attributes of an object.
    """
    clock = str(attrs.get("clock", "unknown clock"))
    if attrs.get("synced") == 0:
        return f"not synchronised: clock of {clock}"
    parts = [clock]
    if "sync_residual_max_s" in attrs:
        parts.append(f"{float(attrs['sync_residual_max_s']) * 1e6:.0f} µs")
    lost = int(attrs.get("stream_sync_n_dropped", 0))
    if lost:
        parts.append(f"{lost} pulse{'s' if lost > 1 else ''} lost")
    return " · ".join(parts)


def time_label(attrs: Mapping[str, Any]) -> str:
    """Return the label of an axis of time.

    Parameters
    ----------
    attrs : mapping
        Attributes of the object.
    """
    return f"Time on {attrs.get('clock', 'its clock')} (s)"
