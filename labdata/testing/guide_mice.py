"""Mice of the guide's lab that learn a decision task, by a rule.

In session ``s`` (from 0) a mouse is right in a share ``0.5 + 0.45 (1 - exp(-s / tau))`` of its
easy trials, rounded to whole trials, with a ``tau`` of its own. In the first two sessions it makes
fewer trials than the guide asks for, and every third session has a set of auditory trials that it
only guesses at, so that a query which takes the wrong rows shows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Name, sessions, sessions needed to learn, days after the first mouse, sets of visual trials.
MICE = (
    ("JC201", 45, 5.0, 0, True),
    ("JC202", 50, 9.0, 2, True),
    ("JC203", 30, 14.0, 10, True),
    ("JC204", 65, 20.0, 10, True),
    ("JC205", 40, 7.0, 31, True),
    ("JC206", 25, 40.0, 45, True),
    ("JC207", 8, 10.0, 60, False),
)
FIRST_DAY = datetime(2025, 1, 6, 9, 30)
TASK_DATASET = "wheel_task"
#: Intensities of the stimulus, all equally often; the easy trials are those of the last.
INTENSITIES = (0.1, 0.3, 1.0)
N_TRIALS, N_TRIALS_SHORT, N_SHORT_SESSIONS = 240, 60, 2


@dataclass(frozen=True, eq=False)
class MouseTruth:
    """What a mouse did, a value a session.

    Parameters
    ----------
    subject_name : str
        The mouse.
    session_datetimes : tuple of datetime
        Starts of its sessions.
    n_performed : ndarray of int64
        Trials performed in each, of all sets.
    performance_easy : ndarray of float64
        Share of the easy visual trials that were right; NaN without visual trials.
    """

    subject_name: str
    session_datetimes: tuple[datetime, ...]
    n_performed: NDArray[np.int64]
    performance_easy: NDArray[np.float64]


def session_name(start: datetime) -> str:
    """Return the name of the session that began then, as the rigs write it.

    Parameters
    ----------
    start : datetime
        Start of the session.
    """
    return f"{start:%Y%m%d_%H%M%S}"


def easy_share(session: int, tau: float, n_easy: int) -> float:
    """Return the share of the easy trials that are right.

    Parameters
    ----------
    session : int
        Sessions before this one.
    tau : float
        Sessions in which most is learnt.
    n_easy : int
        Easy trials.
    """
    right = 0.5 + 0.45 * (1.0 - math.exp(-session / tau))
    return round(n_easy * right) / n_easy


def insert_mice(lab: Any, *, seed: int, owner: dict[str, Any]) -> tuple[MouseTruth, ...]:
    """Insert mice with their sessions, water and trials, and return what they did.

    Parameters
    ----------
    lab : Lab
        The tables; a transaction is open.
    seed : int
        Of the order of trials and the water given.
    owner : dict
        Columns that all subjects have: date of birth, sex, strain and user.

    Returns
    -------
    tuple of MouseTruth
        What each mouse did.
    """
    rows: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("Session", "Dataset", "Watering", "DecisionTask", "TrialSet")
    }
    found = []
    for number, mouse in enumerate(MICE):
        lab.Subject.insert1({"subject_name": mouse[0], **owner})
        found.append(_plan_mouse(np.random.default_rng((seed, 21, number)), mouse, rows))
    for name in ("Session", "Dataset", "Watering", "DecisionTask"):
        getattr(lab, name).insert(rows[name])
    lab.DecisionTask.TrialSet.insert(rows["TrialSet"])
    return tuple(found)


def _plan_mouse(
    rng: np.random.Generator,
    mouse: tuple[str, int, float, int, bool],
    rows: dict[str, list[dict[str, Any]]],
) -> MouseTruth:
    """Add a mouse's rows, and return what it did."""
    name, n_sessions, tau, delay_days, visual = mouse
    days = delay_days + np.arange(n_sessions) * 7 // 5  # no work at weekends
    starts = [FIRST_DAY + timedelta(days=int(day)) for day in days]
    performed, shares = [], []
    for number, start in enumerate(starts):
        n_trials = N_TRIALS_SHORT if number < N_SHORT_SESSIONS else N_TRIALS
        share = easy_share(number, tau, n_trials // len(INTENSITIES))
        sets = {"visual": share} if visual else {}
        if number % 3 == 0 or not visual:
            sets["auditory"] = 0.5
        key = {"subject_name": name, "session_name": session_name(start)}
        rows["Session"].append({**key, "session_datetime": start, "experimenter": "couto"})
        key["dataset_name"] = TASK_DATASET
        rows["Dataset"].append({**key, "dataset_type": "task-training"})
        trials = [_trial_set(rng, key, what, s, n_trials) for what, s in sets.items()]
        rows["TrialSet"] += trials
        _add_task(rng, rows, key, start, trials)
        performed.append(n_trials * len(sets))
        shares.append(share if visual else np.nan)
    return MouseTruth(name, tuple(starts), np.array(performed), np.array(shares))


def _add_task(
    rng: np.random.Generator,
    rows: dict[str, list[dict[str, Any]]],
    key: dict[str, Any],
    start: datetime,
    trials: list[dict[str, Any]],
) -> None:
    performed = sum(t["n_performed"] for t in trials)
    correct = sum(t["n_correct"] for t in trials)
    water = {"subject_name": key["subject_name"], "watering_datetime": start}
    rows["Watering"].append({**water, "water_volume": 3.0 * correct + rng.uniform(0.0, 50.0)})
    rows["DecisionTask"].append(
        {
            **key,
            "n_total_trials": performed,
            "n_total_performed": performed,
            "n_total_with_choice": performed,
            "n_total_rewarded": correct,
            "watering_datetime": start,
        }
    )


def _trial_set(
    rng: np.random.Generator, key: dict[str, Any], what: str, easy: float, n_trials: int
) -> dict[str, Any]:
    """Return a row of trials: a share of the easy ones is right, and half of the others."""
    n_each = n_trials // len(INTENSITIES)
    intensity = np.repeat(INTENSITIES, n_each)
    correct = np.arange(intensity.size) % n_each < n_each // 2
    is_easy = intensity == INTENSITIES[-1]
    correct[is_easy] = np.arange(n_each) < round(easy * n_each)
    order = rng.permutation(intensity.size)
    side = rng.choice([-1, 1], intensity.size)
    intensity, correct = intensity[order], correct[order]
    return {
        **key,
        "trialset_description": what,
        "n_trials": intensity.size,
        "n_performed": intensity.size,
        "n_with_choice": intensity.size,
        "n_correct": int(correct.sum()),
        "performance_easy": easy,
        "performance": float(correct.mean()),
        "trial_num": np.arange(intensity.size),
        "response_values": np.where(correct, side, -side),
        "correct_values": correct.astype(np.float64),
        "intensity_values": side * intensity,
        "reaction_times": rng.uniform(0.2, 1.2, intensity.size),
    }
