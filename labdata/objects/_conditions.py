"""Which trials belong together, and which cannot be used: told apart once, for every mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from labdata.errors import ObjectError

#: What to do with a trial whose window leaves the recording.
PartlyObserved = Literal["leave_out", "keep", "raise"]


@dataclass(frozen=True, eq=False)
class Conditions:
    """The trials of an aligned dataset, sorted into conditions.

    Attributes
    ----------
    values : ndarray, shape (n_conditions,)
        Each value once, ascending; one condition ``0`` where trials are not told apart.
    of_trial : ndarray of int64, shape (n_trials,)
        Position in `values` of each trial, -1 for a trial that is left out.
    name : str or None
        What the values are of; None where trials are not told apart.
    attrs : dict
        How many trials were left out, and why.
    """

    values: NDArray[Any]
    of_trial: NDArray[np.int64]
    name: str | None
    attrs: dict[str, int]

    @property
    def n_trials(self) -> NDArray[np.int64]:
        """Trials of each condition, shape (n_conditions,)."""
        return np.bincount(self.of_trial[self.of_trial >= 0], minlength=len(self.values))

    def binned(self, edges: NDArray[np.float64]) -> Conditions:
        """Return the trials sorted into bins of the values instead.

        Parameters
        ----------
        edges : ndarray of float64, shape (n_bins + 1,)
            Ascending; the last bin has its end too. Trials outside are left out.
        """
        n = len(edges) - 1
        place = np.searchsorted(edges, self.values, side="right") - 1
        place[self.values == edges[-1]] = n - 1
        place[(place < 0) | (place >= n)] = -1
        of_trial = np.where(self.of_trial < 0, -1, np.append(place, -1)[self.of_trial])
        return Conditions(np.arange(n), of_trial, self.name, self.attrs)

    def mean_and_sem(self, per_trial: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the mean over each condition's trials and its standard error.

        Parameters
        ----------
        per_trial : ndarray, shape (n_trials, n)
            Of one unit.

        Returns
        -------
        mean : ndarray of float64, shape (n_conditions, n)
            NaN for a condition without trials.
        sem : ndarray of float64, shape (n_conditions, n)
            Standard deviation (n - 1) over the root of n; NaN for fewer than two trials.
        """
        shape = (len(self.values), per_trial.shape[1])
        mean, sem = np.full(shape, np.nan), np.full(shape, np.nan)
        for k, n in enumerate(self.n_trials):
            if n:
                mine = per_trial[self.of_trial == k]
                mean[k] = mine.mean(axis=0)
                if n > 1:
                    sem[k] = mine.std(axis=0, ddof=1) / np.sqrt(n)
        return mean, sem


def sort_trials(
    aligned: xr.Dataset,
    by: str | ArrayLike | xr.DataArray | None,
    partly_observed: PartlyObserved,
) -> Conditions:
    """Sort the trials of an aligned dataset into conditions.

    Parameters
    ----------
    aligned : xarray.Dataset
        Kind ``aligned_spikes``.
    by : str, array_like or xarray.DataArray, optional
        Name of a coordinate of the trials, or a value a trial; a DataArray over ``trial`` is
        matched by its labels. None: all trials are one condition.
    partly_observed : {"leave_out", "keep", "raise"}
        What to do with trials whose window leaves the recording.

    Returns
    -------
    Conditions

    Raises
    ------
    ObjectError
        If `by` is no coordinate of the trials or has another length, or a window leaves the
        recording and `partly_observed` is ``"raise"``.
    """
    happened = np.isfinite(aligned["event_time"].values)
    whole = happened
    if "window_observed" in aligned.coords:
        whole = happened & (aligned["window_observed"].values == 1)
    partly = int((happened & ~whole).sum())
    _check_policy(partly_observed, partly)
    used = happened if partly_observed == "keep" else whole
    attrs = {
        "trials_without_event": int((~happened).sum()),
        "trials_partly_observed": partly,
    }
    if by is None:
        return Conditions(np.zeros(1, np.int64), np.where(used, 0, -1), None, attrs)
    labels, name = _labels(aligned, by)
    known = ~_missing(labels)
    values = np.unique(labels[known])
    of_trial = np.full(len(labels), -1, dtype=np.int64)
    chosen = used & known
    of_trial[chosen] = np.searchsorted(values, labels[chosen])
    attrs["trials_without_condition"] = int((~known).sum())
    return Conditions(values, of_trial, name, attrs)


def _check_policy(partly_observed: str, n_partly: int) -> None:
    if partly_observed not in ("leave_out", "keep", "raise"):
        raise ObjectError(
            f"partly_observed is {partly_observed!r}.", hint="Use 'leave_out', 'keep' or 'raise'."
        )
    if partly_observed == "raise" and n_partly:
        raise ObjectError(
            f"The windows of {n_partly} trials leave the recording.",
            hint="Their late or early bins were not observed; leave them out, or shorten the "
            "window.",
        )


def _labels(
    aligned: xr.Dataset, by: str | ArrayLike | xr.DataArray
) -> tuple[NDArray[Any], str | None]:
    """Return the condition of each trial, and what it is called."""
    trial = aligned["trial"].values
    if isinstance(by, str):
        names = sorted(str(n) for n, c in aligned.coords.items() if c.dims == ("trial",))
        if by not in names:
            raise ObjectError(
                f"{by!r} is no coordinate of the trials; they have: {', '.join(names)}.",
                hint='Pass the values themselves, such as by=trials["stim_intensity"].',
            )
        return aligned[by].values, by
    name = str(by.name) if isinstance(by, xr.DataArray) and by.name is not None else "condition"
    if isinstance(by, xr.DataArray) and "trial" in by.indexes:
        missing = np.setdiff1d(trial, by["trial"].values)
        if len(missing):
            raise ObjectError(
                f"Trial {missing[0]} has no {name}.",
                hint="Give a value for each trial aligned to.",
            )
        by = by.sel(trial=trial)
    labels = np.asarray(getattr(by, "values", by))
    if labels.shape != trial.shape:
        raise ObjectError(
            f"{name} has shape {labels.shape}; there are {len(trial)} trials.",
            hint="One value a trial, in the order of the events.",
        )
    return labels, name


def _missing(labels: NDArray[Any]) -> NDArray[np.bool_]:
    if labels.dtype.kind == "f":
        return np.asarray(np.isnan(labels))
    if labels.dtype.kind == "O":
        raise ObjectError(
            "The conditions are Python objects, which have no order.",
            hint="Make them numbers or text: values.astype(str).",
        )
    return np.zeros(labels.shape, dtype=bool)
