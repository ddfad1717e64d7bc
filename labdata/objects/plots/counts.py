"""How many units each session gave."""

from __future__ import annotations

from typing import Any

import numpy as np

from labdata.errors import ObjectError
from labdata.objects.plots._style import (
    CATEGORIES,
    axes_or_current,
    name_lines,
    tidy_axes,
    wants_screen,
)

_NEEDED = ("session_datetime", "unit_criteria_id", "sua")


def plot_unit_counts(rows: Any, *, ax: Any = None, backend: str = "matplotlib") -> Any:
    """Draw the number of single units of each session over days, a line a criterion.

    Parameters
    ----------
    rows : pandas.DataFrame or list of dict
        With ``session_datetime``, ``unit_criteria_id`` and ``sua``, as
        ``(Session * UnitCount & subject).fetch(as_dict=True)`` gives them. Sortings of one
        session, such as those of two probes, are dots above each other; the line is their sum.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default the current axes.
    backend : {"matplotlib", "bokeh"}
        For paper, or for a screen.

    Returns
    -------
    matplotlib.axes.Axes or bokeh.plotting.figure

    Raises
    ------
    ObjectError
        If there are no rows, a column is missing, or there is no such backend.
    MissingPackageError
        If it is not installed.

    Examples
    --------
    >>> rows = (Session * UnitCount & subject).fetch(as_dict=True)  # doctest: +SKIP
    >>> labdata.plot_unit_counts(rows)  # doctest: +SKIP
    """
    import pandas as pd

    table = pd.DataFrame(rows)
    if table.empty:
        raise ObjectError(
            "There are no counts of units to draw.",
            hint="UnitCount.populate(key) counts them, once UnitCountCriteria has a row.",
        )
    missing = [name for name in _NEEDED if name not in table]
    if missing:
        raise ObjectError(
            f"The rows have no {missing[0]}; they have: {', '.join(map(str, table))}.",
            hint="Fetch them of (Session * UnitCount & subject).",
        )
    if wants_screen(backend, ax):
        from labdata.objects.plots.screen import draw_unit_counts

        return draw_unit_counts(table)
    ax = axes_or_current(ax)
    for k, (criterion, mine) in enumerate(table.groupby("unit_criteria_id")):
        style = {"color": CATEGORIES[k % len(CATEGORIES)], "marker": "osD^v"[k % 5]}
        total = mine.groupby("session_datetime")["sua"].sum().sort_index()
        dates = np.asarray(total.index)
        ax.plot(dates, total.to_numpy(), label=f"{criterion}", markersize=4, lw=1, **style)
        if len(mine) > len(total):
            ax.scatter(
                mine["session_datetime"].to_numpy(), mine["sua"].to_numpy(), 9, alpha=0.5, **style
            )
    if table["unit_criteria_id"].nunique() > 1:
        name_lines(ax, "criterion")
    if table["session_datetime"].nunique() == 1:
        ax.set_xlim(*around_day(table))
    ax.set_ylim(bottom=0)
    ax.set_ylabel("Single units")
    ax.set_xlabel("Session")
    _name_dates(ax.xaxis)
    tidy_axes(ax)
    return ax


def around_day(table: Any) -> tuple[Any, Any]:
    """Return the day before the first session and the day after the last.

    Parameters
    ----------
    table : pandas.DataFrame
        With ``session_datetime``.
    """
    import pandas as pd

    dates, day = pd.to_datetime(table["session_datetime"]), pd.Timedelta(days=1)
    return dates.min() - day, dates.max() + day


def _name_dates(axis: Any) -> None:
    """Name few dates, each as short as it can be told."""
    import matplotlib.dates

    dates: Any = matplotlib.dates  # its classes have no types
    locator = dates.AutoDateLocator(maxticks=6)
    axis.set_major_locator(locator)
    axis.set_major_formatter(dates.ConciseDateFormatter(locator))
