"""Random sequences of all that people and processes do, killed anywhere, against a model.

``LABTEST_EXAMPLES`` says how many sequences are tried; they are the same in every run unless
``LABTEST_SEED`` is set. The model and its invariants are in :mod:`model`.
"""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from labdata.rules import quiet

sys.path.insert(0, str(Path(__file__).parent))
from model import NAMES, PARTS
from model_races import OTHER, PARTLY, SAME, Race

pytestmark = pytest.mark.slow
N_EXAMPLES = int(os.environ.get("LABTEST_EXAMPLES", "25"))
SEED = os.environ.get("LABTEST_SEED")
N_STEPS, N_RACES = (8, 20), (4, 8)

RIG = st.sampled_from((0, 0, 1))
WHICH = st.integers(0, 7)
NAME, PART = st.sampled_from(NAMES), st.sampled_from(PARTS)
#: Number of the effect at which the process is killed, and whether after it.
KILL = st.none() | st.tuples(st.integers(0, 60), st.booleans())


def step(name, *given):
    return st.tuples(st.just(name), *given)


STEP = st.one_of(
    step("record", RIG, NAME, PART, st.integers(1, 2)),
    step("put", RIG, NAME, PART, KILL),
    step("put", RIG, NAME, PART, KILL),
    step("upload", WHICH, KILL),
    step("upload", WHICH, KILL),
    step("change", RIG, WHICH),
    step("clean", RIG, KILL),
    step("clean", RIG, st.none()),
    step("clean", st.just(0), st.none()),
    step("get", RIG, KILL),
    step("remove", RIG, NAME, PART),
    step("damage", WHICH),
    step("damage", WHICH),
    step("repair"),
    step("rename", WHICH, st.sampled_from((*NAMES, "other")), KILL),
    step("delete", WHICH, KILL),
    step("garbage", KILL),
)
#: Commands of which some have been seen to be in each other's way, or could be.
TOGETHER = (
    ("put", "put"),
    ("put", "put"),
    ("put", "put", "put"),
    ("put", "put", "upload"),
    ("put", "upload"),
    ("put", "clean"),
    ("put", "garbage"),
    ("upload", "upload"),
    ("upload", "upload"),
    ("upload", "upload", "clean"),
    ("upload", "clean"),
    ("upload", "garbage"),
    ("upload", "verify"),
    ("get", "get"),
    ("get", "clean"),
    ("get", "upload"),
    ("get", "verify"),
    ("clean", "clean"),
    ("clean", "verify"),
    ("garbage", "garbage"),
    ("garbage", "verify"),
)
#: Where a process waits for the others: what it does then, the how manieth time, and after it.
WORDS = ("link", "SELECT GET", "START", "INSERT", "UPDATE", "COMMIT", "unlink", "open", "read")
PAUSE = st.none() | st.tuples(
    st.sampled_from((*WORDS, "SELECT", "mkdir", "rmdir", "")), st.integers(0, 3), st.booleans()
)
SELDOM_KILLED = st.none() | st.none() | st.none() | st.tuples(st.integers(0, 60), st.booleans())


@st.composite
def commands(draw):
    """Some at once: the last is not stopped, as there is none to go before it."""
    kinds = draw(st.permutations(draw(st.sampled_from(TOGETHER))))
    pauses = [draw(PAUSE) for _ in kinds[1:]] + [None]
    return tuple(
        (kind, draw(RIG), pause, draw(SELDOM_KILLED))
        for kind, pause in zip(kinds, pauses, strict=True)
    )


AT_ONCE = step(
    "at_once",
    commands(),
    NAME,
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.sampled_from((OTHER, OTHER, SAME, PARTLY)),
    WHICH,
)
RACE = st.one_of(
    *[AT_ONCE] * 9,
    step("plan_a_clean", RIG),
    step("clean_as_planned"),
    step("rot_in_the_act", WHICH, st.integers(0, 1)),
    step("damage", WHICH),
    step("repair"),
    step("delete", WHICH, st.none()),
    step("record", RIG, NAME, PART, st.integers(1, 2)),
    step("put", RIG, NAME, PART, st.none()),
    step("change", RIG, WHICH),
)
_numbers = itertools.count()


@pytest.fixture(scope="module")
def run_sequence(rig_maker, database_folder, tmp_path_factory):
    """Run steps in a world of their own, and check after each."""

    def run(steps):
        home = tmp_path_factory.mktemp("model") / f"home{next(_numbers)}"
        with rig_maker(home, database_folder) as rig, pytest.MonkeyPatch.context() as patch:
            patch.setattr(quiet, "SETTLE_S", 0.0)
            rig.add_subjects("JC1")
            world = Race(rig)
            world.begin()
            for name, *given in steps:
                getattr(world, name)(*given)
                world.check()
            world.finish()
            return world

    return run


def try_sequences(steps, run):
    """Try as many sequences as are wanted."""

    @settings(
        max_examples=N_EXAMPLES,
        derandomize=SEED is None,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(steps)
    def sequences(steps):
        run(steps)

    if SEED is not None:
        sequences = seed(int(SEED))(sequences)
    sequences()


def test_any_sequence_loses_nothing(run_sequence, own_lab_only):
    try_sequences(st.lists(STEP, min_size=N_STEPS[0], max_size=N_STEPS[1]), run_sequence)


def test_commands_at_once_lose_nothing(run_sequence, own_lab_only):
    try_sequences(st.lists(RACE, min_size=N_RACES[0], max_size=N_RACES[1]), run_sequence)
