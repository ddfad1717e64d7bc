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
from model_steps import World

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
_numbers = itertools.count()


@pytest.fixture(scope="module")
def run_sequence(rig_maker, database_folder, tmp_path_factory):
    """Run steps in a world of their own, and check after each."""

    def run(steps):
        home = tmp_path_factory.mktemp("model") / f"home{next(_numbers)}"
        with rig_maker(home, database_folder) as rig, pytest.MonkeyPatch.context() as patch:
            patch.setattr(quiet, "SETTLE_S", 0.0)
            rig.add_subjects("JC1")
            world = World(rig)
            world.begin()
            for name, *given in steps:
                getattr(world, name)(*given)
                world.check()
            world.finish()
            return world

    return run


def test_any_sequence_loses_nothing(run_sequence, own_lab_only):
    @settings(
        max_examples=N_EXAMPLES,
        derandomize=SEED is None,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(st.lists(STEP, min_size=N_STEPS[0], max_size=N_STEPS[1]))
    def sequences(steps):
        run_sequence(steps)

    if SEED is not None:
        sequences = seed(int(SEED))(sequences)
    sequences()
