"""A plugin to begin yours with: a two-choice licking task.

Name its folder in the preference file, and labdata has a table, an upload rule and an analysis
more::

    "plugins": {"licking": "~/code/licking"}

    labdata put ~/data/JC1/20260131_140500/licking -r licking
    labdata upload
    labdata run licking-side -a JC1

The rig writes a folder with ``trials.csv``, a line a trial: ``trial`` (number), ``contrast``
(0 to 1), ``side`` (left or right, where the stimulus was), ``choice`` (left, right or none),
``reaction_time_s`` (empty without a choice), and ``water_ul`` (given in this trial).
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from labdata.compute.analysis import Analysis, TaskContext
from labdata.errors import RuleError
from labdata.plugins import Computed, Imported, plugin_table
from labdata.rules.base import RuleOutput, UploadContext, UploadRule

COLUMNS = ["trial", "contrast", "side", "choice", "reaction_time_s", "water_ul"]
#: Trials with at least this contrast are the easy ones.
EASY_CONTRAST = 0.5
RESPONSE = {"left": 1, "none": 0, "right": -1}


@plugin_table
class LickingSession(Imported):
    """What the licking rig writes beyond what DecisionTask keeps."""

    definition = """
    -> Dataset
    ---
    side_values : <array>                # of each trial: 1 left, -1 right
    water_volume : float64               # uL, in all
    """


@plugin_table
class LickingBias(Computed):
    """How much an animal prefers a side."""

    definition = """
    -> LickingSession
    ---
    left_fraction : float64              # of the choices, to the left
    n_choices : int32
    """


def read_trials(path: Path) -> pd.DataFrame:
    """Return the trials of a session.

    Parameters
    ----------
    path : Path
        ``trials.csv``.

    Raises
    ------
    RuleError
        If a column is missing, or a side or choice is none that the task has.
    """
    trials = pd.read_csv(path, keep_default_na=False, na_values={"reaction_time_s": [""]})
    missing = [name for name in COLUMNS if name not in trials.columns]
    if missing:
        raise RuleError(
            f"{path} has no column {missing[0]!r}.", hint=f"It needs: {', '.join(COLUMNS)}."
        )
    for column, known in (("side", ["left", "right"]), ("choice", list(RESPONSE))):
        wrong = trials[~trials[column].isin(known)]
        if len(wrong):
            raise RuleError(
                f"{path} says {column} {wrong[column].iloc[0]!r} in trial "
                f"{wrong['trial'].iloc[0]}.",
                hint=f"It may say: {', '.join(known)}.",
            )
    return trials


class LickingRule(UploadRule):
    """Store a session of the licking task, and fill the tables of decisions."""

    name: ClassVar[str] = "licking"
    dataset_type: ClassVar[str | None] = "task-training"

    def check(self, folder: Path, files: tuple[Path, ...]) -> None:
        """Refuse a folder without readable trials before anything is copied."""
        found = [path for path in files if path.name == "trials.csv"]
        if len(found) != 1:
            raise RuleError(
                f"{folder} has {len(found)} files trials.csv; the licking rule needs one."
            )
        read_trials(found[0])

    def apply(self, context: UploadContext) -> RuleOutput:
        """Store all files as they are."""
        (file,) = [f for f in context.files if f.file_path.endswith("trials.csv")]
        return RuleOutput(context.files, facts={"trials": read_trials(file.path)})

    def insert(self, lab: Any, context: UploadContext, output: RuleOutput) -> None:
        """Fill DecisionTask, its trial sets, Watering and LickingSession."""
        trials, key = output.facts["trials"], context.key
        session = {k: key[k] for k in ("subject_name", "session_name")}
        when: datetime = (lab.Session & session).fetch1("session_datetime")
        water_ul = float(trials["water_ul"].sum())
        watering = {"subject_name": key["subject_name"], "watering_datetime": when}
        lab.Watering.insert1({**watering, "water_volume": water_ul}, skip_duplicates=True)
        chose = trials["choice"] != "none"
        correct = chose & (trials["choice"] == trials["side"])
        lab.DecisionTask.insert1(
            {
                **key,
                "n_total_trials": len(trials),
                "n_total_performed": int(chose.sum()),
                "n_total_with_choice": int(chose.sum()),
                "n_total_rewarded": int((trials["water_ul"] > 0).sum()),
                **watering,
            }
        )
        lab.DecisionTask.TrialSet.insert1({**key, **_trial_set(trials, chose, correct)})
        sides = trials["side"].map(RESPONSE).to_numpy(dtype="int8")
        lab.LickingSession.insert1({**key, "side_values": sides, "water_volume": water_ul})


class LickingSide(Analysis):
    """Compute how much an animal prefers a side."""

    name: ClassVar[str] = "licking-side"
    summary: ClassVar[str] = "preference for a side of the licking task"

    def find_datasets(self, lab: Any, restriction: Any) -> list[dict[str, Any]]:
        """Return the sessions of the task."""
        found: list[dict[str, Any]] = (lab.LickingSession & dict(restriction)).fetch("KEY")
        return found

    def compute(self, context: TaskContext) -> str:
        """Count the choices of one session."""
        lab, key = context.lab, context.key
        if lab.LickingBias & key:
            return "computed already"
        responses = (lab.DecisionTask.TrialSet & key).fetch1("response_values")
        n_choices = int(np.count_nonzero(responses))
        left = float(np.count_nonzero(responses == 1) / n_choices) if n_choices else float("nan")
        if n_choices == 0:
            return "no choices: nothing to compute"
        with lab.connection.transaction:
            context.confirm()
            lab.LickingBias.insert1(
                {**key, "left_fraction": left, "n_choices": n_choices},
                allow_direct_insert=True,
            )
        return f"{left:.0%} of {n_choices} choices to the left"


def _trial_set(trials: pd.DataFrame, chose: pd.Series, correct: pd.Series) -> dict[str, Any]:
    easy = chose & (trials["contrast"] >= EASY_CONTRAST)
    values = np.where(chose, correct.astype("float64"), np.nan)
    return {
        "trialset_description": "visual",
        "n_trials": len(trials),
        "n_performed": int(chose.sum()),
        "n_with_choice": int(chose.sum()),
        "n_correct": int(correct.sum()),
        "performance_easy": float(correct[easy].mean()) if easy.any() else None,
        "performance": float(correct[chose].mean()) if chose.any() else None,
        "trial_num": trials["trial"].to_numpy(dtype="int64"),
        "response_values": trials["choice"].map(RESPONSE).to_numpy(dtype="int8"),
        "correct_values": values,
        "intensity_values": trials["contrast"].to_numpy(dtype="float64"),
        "reaction_times": trials["reaction_time_s"].to_numpy(dtype="float64"),
    }


UPLOAD_RULES = {"licking": LickingRule}
ANALYSES = {"licking-side": LickingSide}
