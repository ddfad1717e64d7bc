"""Random sequences of all that people and processes do, killed anywhere, against a model.

``LABTEST_EXAMPLES`` says how many sequences are tried; they are the same in every run unless
``LABTEST_SEED`` is set. The model and its invariants are in :mod:`model`, commands at once in
:mod:`model_races`; a sequence of these is dear, so fewer are tried and none is made shorter.
"""

from __future__ import annotations

import itertools
import os
import random
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
N_STEPS = (8, 20)

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
    *[("put", "put")] * 5,
    ("put", "put", "put"),
    ("put", "put", "upload"),
    ("put", "upload"),
    ("put", "clean"),
    ("put", "garbage"),
    *[("upload", "upload")] * 3,
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
#: Where a process of each kind waits for the others: what it does then.
WORDS = {
    "put": (*("link", "SELECT GET") * 2, "open", "START", "INSERT", "COMMIT", "SELECT", "mkdir"),
    "upload": ("SELECT GET", "UPDATE", "SELECT", "open", "link", "read", "START", "COMMIT"),
    "get": ("open", "link", "read", "mkdir", "fsync"),
    "clean": ("SELECT", "read", "unlink", "rmdir"),
    "verify": ("SELECT", "read"),
    "garbage": ("SELECT", "SELECT GET", "unlink"),
}


def race_of(chance):
    """Return commands at once, of a source of chance."""
    kinds = list(chance.choice(TOGETHER))
    chance.shuffle(kinds)
    commands = []
    for kind in kinds:
        nth = chance.choice((0, 0, 0, 1) if kind == "put" else (0, 0, 1, 1, 2, 3))
        pause = (chance.choice(WORDS[kind]), nth, chance.random() < 0.25)
        kill = (chance.randrange(60), chance.random() < 0.5)
        # the last is not stopped, as there is none to go before it
        stops = len(commands) < len(kinds) - 1 and chance.random() < 0.9
        killed = chance.random() < 0.15
        rig = chance.choice((0, 0, 1))
        if kind == "put" and chance.random() < 0.8:
            rig = len(commands) % 2  # other rigs have other files
        commands.append((kind, rig, pause if stops else None, kill if killed else None))
    sizes = chance.choice((1, 2)), chance.choice((1, 2))
    alike = chance.choice((OTHER, OTHER, OTHER, SAME, PARTLY))
    return "at_once", tuple(commands), chance.choice(NAMES), sizes, alike, chance.randrange(8)


def beside_of(chance):
    """Return a step that gives races something to be about."""
    rig, which = chance.choice((0, 0, 1)), chance.randrange(8)
    name, part = chance.choice(NAMES), chance.choice(PARTS)
    return chance.choice(
        (
            ("plan_a_clean", rig),
            ("clean_as_planned",),
            ("rot_in_the_act", which, chance.randrange(2)),
            ("damage", which),
            ("repair",),
            ("delete", which, None),
            ("record", rig, name, part, 2),
            ("put", rig, name, part, None),
            ("change", rig, which),
        )
    )


@st.composite
def races(draw):
    """Hypothesis says which numbers; by itself it would try the simplest races over and over."""
    salt = draw(st.integers(0, 2**32 - 1))
    numbers = draw(st.lists(st.integers(0, 2**32 - 1), min_size=5, max_size=9, unique=True))
    chances = [random.Random(f"{salt} {number}") for number in numbers]
    return [(race_of if one.random() < 0.7 else beside_of)(one) for one in chances]


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


def try_sequences(steps, run, n_examples, *phases):
    """Try as many sequences as are wanted."""

    @settings(
        max_examples=n_examples,
        derandomize=SEED is None,
        database=None,
        deadline=None,
        phases=(Phase.generate, *phases),
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
    steps = st.lists(STEP, min_size=N_STEPS[0], max_size=N_STEPS[1])
    try_sequences(steps, run_sequence, N_EXAMPLES, Phase.shrink)


def test_commands_at_once_lose_nothing(run_sequence, own_lab_only):
    try_sequences(races(), run_sequence, max(1, N_EXAMPLES * 3 // 5))
