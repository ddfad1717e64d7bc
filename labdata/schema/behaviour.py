"""Decisions of animals: sessions of tasks and sets of their trials.

Plugins fill these tables, each for the tasks of its rig; the code that plots them is the same for
all.
"""

from __future__ import annotations

from ..database.projects import Imported, Part, table
from .general import Dataset  # noqa: F401  (named by foreign keys)
from .husbandry import Watering  # noqa: F401


@table("computed")
class DecisionTask(Imported):
    """Sessions of decision-making tasks."""

    definition = """
    -> Dataset
    ---
    n_total_trials : int32
    n_total_assisted=null : int32
    n_total_performed=null : int32
    n_total_initiated=null : int32
    n_total_with_choice=null : int32
    n_total_rewarded=null : int32
    n_total_punished=null : int32
    -> [nullable] Watering
    """

    class TrialSet(Part):
        """Trials with like conditions; the arrays have a value a trial."""

        definition = """
        -> master
        trialset_description : varchar(54)  # visual, auditory, multisensory, ...
        ---
        n_trials : int32
        n_performed : int32
        n_with_choice : int32
        n_correct : int32
        performance_easy=null : float64  # fraction correct of the easy trials with a choice
        performance=null : float64       # fraction correct of the trials with a choice
        trial_num : <array>              # int64, number of the trial in the session
        initiation_times=null : <array>  # s
        assisted=null : <array>          # 1 assisted, 0 not
        response_values=null : <array>   # 1 left, 0 none, -1 right
        correct_values=null : <array>    # 1 correct, 0 wrong, NaN without a choice
        intensity_values=null : <array>  # of the stimulus
        reaction_times=null : <array>    # s
        block_values=null : <array>      # number of the block of each trial
        """
