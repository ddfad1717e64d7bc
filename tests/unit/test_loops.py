"""The compiled loops: the same as in NumPy to the bit, and no reading beyond an array's end.

What they are for is tested where they are used, with them and without.
"""

from __future__ import annotations

import numpy as np
import pytest

from labdata import loops
from labdata.clocks import sum_bits
from labdata.objects import _groups, _windows, correlograms
from labdata.step_planes import split_steps

if loops.compiled is None:
    pytest.skip("the inner loops are not compiled", allow_module_level=True)
C = loops.compiled


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def test_loops_of_an_older_source_are_not_used(monkeypatch):
    """As after an update of the source without installing it again."""
    assert loops._load() is C
    monkeypatch.setattr(loops, "VERSION", C.VERSION + 1)
    assert loops._load() is None


@pytest.mark.parametrize("window", [(-0.5, 1.5), (0.1, 0.1 + 1e-9), (-3e3, 3e3), (0.0, 0.25)])
def test_windows_end_where_the_rounded_relative_time_does(rng, window):
    """Times of a day, where a sum and a difference are rounded differently."""
    event = np.sort(rng.uniform(0, 86_400, 500))
    edges = np.concatenate([event + window[0], event + window[1]])
    near = np.concatenate([np.nextafter(edges, -np.inf), np.nextafter(edges, np.inf)])
    seconds = np.sort(np.concatenate([edges, near, rng.uniform(0, 86_400, 5_000)]))
    mine, other = np.empty((2, 2, len(event)), np.int64)
    total = C.bound_windows(seconds, event, *window, *mine)
    _windows._find(seconds, event, *window, *other)
    np.testing.assert_array_equal(mine, other)
    assert total == (mine[1] - mine[0]).sum()
    inside = (seconds[:, None] - event >= window[0]) & (seconds[:, None] - event < window[1])
    np.testing.assert_array_equal(mine[1] - mine[0], inside.sum(axis=0))


def test_what_is_cut_is_the_same(rng):
    seconds, event = np.sort(rng.uniform(0, 100, 2_000)), rng.uniform(0, 100, 300)
    low = np.searchsorted(seconds, event - 1)
    high = np.searchsorted(seconds, event + 1)
    labels = rng.permutation(300).astype("int32")
    n = int((high - low).sum())
    mine, other = ((np.empty(n), np.empty(n, "int32")) for _ in range(2))
    C.cut_windows(seconds, event, low, high, labels, *mine)
    _windows._cut(seconds, event, low, high, labels, *other)
    for a, b in zip(mine, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("n_side", [0, 3, 50])
@pytest.mark.parametrize("bin_ticks", [1, 1000, 3_000_000_000])
def test_the_same_pairs_are_counted(rng, bin_ticks, n_side):
    """Also with bins so long that lags are no 32-bit numbers."""
    ticks = np.sort(rng.integers(0, 300 * bin_ticks, 600))
    number = rng.integers(0, 4, 600)
    mine = correlograms._count_later(ticks, number, 5, bin_ticks, n_side)
    other = correlograms._count_by_shifts(ticks, number, (5, 5, n_side + 1), bin_ticks)
    np.testing.assert_array_equal(mine, other)


def test_sorted_spikes_are_told_from_others(rng, monkeypatch):
    label = np.repeat(np.arange(5, dtype="int32"), 3_000)
    seconds = np.concatenate([np.sort(rng.uniform(0, 9, 3_000)) for _ in range(5)])
    changed = [(0, 0)] + [(int(a), int(b)) for a, b in rng.integers(0, 15_000, (40, 2))]
    for a, b in changed + [(k, k + 1) for k in (0, 4094, 4095, 4096, 14_998)]:
        some, times = label.copy(), seconds.copy()
        some[[a, b]], times[[a, b]] = some[[b, a]], times[[b, a]]
        for one in ((some, times), (label, times), (some, seconds)):
            compiled = _groups.is_grouped(*one)
            with monkeypatch.context() as patch:
                patch.setattr(loops, "compiled", None)
                assert _groups.is_grouped(*one) == compiled
    assert _groups.is_grouped(label, seconds)
    assert not _groups.is_grouped(label[::-1], seconds)


F, L, J, U, B = (np.zeros(3, dtype) for dtype in ("f8", "i8", "i4", "u4", "u1"))
CELLS = np.zeros((2, 5))  # a knot, two slopes, two intercepts


@pytest.mark.parametrize(
    ("loop", "arrays"),
    [
        ("sum_steps", ((B, B[:2]), L)),  # a plane that is too short
        ("sum_steps", ((B,) * 5, L)),
        ("sum_steps", ((), L)),
        ("sum_steps", ((B,), L[:0])),
        ("place_steps", ((B, B[:2]), 1, CELLS, F, 0, 9)),
        ("place_steps", ((B,) * 5, 1, CELLS, F, 0, 9)),
        ("place_steps", ((), 1, CELLS, F, 0, 9)),
        ("place_steps", ((B,), 1, CELLS[:0], F, 0, 9)),
        ("place_steps", ((B,), 1, CELLS.ravel()[:9], F, 0, 9)),  # half a cell
        ("place_steps", ((B,), 41, CELLS, F, 0, 9)),
        ("place_steps", ((B,), -1, CELLS, F, 0, 9)),
        ("place_steps", ((B,), 1, CELLS, F[:2], 0, 9)),
        ("bound_windows", (F, F, 0.0, 1.0, L, L[:2])),
        ("cut_windows", (F, F, L, L, J, F, J)),  # more room than spikes
        ("cut_windows", (F, F, L, L + 9, J, F, J)),  # spikes that are not there
        ("cut_windows", (F, F, L - 1, L, J, F, J)),
        ("cut_windows", (F, F, L, L, J[:2], F[:0], J[:0])),
        ("is_grouped", (J, F[:2])),
        ("count_pairs", (L, J, L + 5, 3, 10, U)),  # spikes that are not there
        ("count_pairs", (L, J + 7, L, 3, 10, U)),  # of a unit that is not there
        ("count_pairs", (L, J - 1, L, 3, 10, U)),
        ("count_pairs", (L, J, L, 2, 10, U)),
        ("count_pairs", (L, J, L, 3, 0, U)),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(loop, arrays):
    with pytest.raises(ValueError, match=r"there|spikes|bounds"):
        getattr(C, loop)(*arrays)


@pytest.mark.parametrize("n_planes", [1, 2, 3, 4])
@pytest.mark.parametrize("shift", [0, 7, 20])
def test_each_sample_is_on_the_line_of_its_cell(rng, n_planes, shift):
    """Against whole numbers of Python, a spike at a time; also beyond the last cell."""
    n_cells = 64
    cells = rng.uniform(-3, 3, (n_cells, 5))
    knot = (np.arange(n_cells) << shift) + rng.integers(0, 1 << shift, n_cells)
    cells[:, 0] = knot.view("f8")
    for _ in range(6):
        most = min(256**n_planes - 1, int(rng.choice([1, 9, 200])) << shift)
        steps = rng.integers(0, most + 1, 300)
        steps[rng.integers(300)] = 256**n_planes - 1
        planes = split_steps(steps)
        assert len(planes) == n_planes
        first, last = sorted(rng.integers(-5, 200 << shift, 2).tolist())
        seconds, samples = np.empty(300), np.empty(300, np.int64)
        C.sum_steps(planes, samples)
        assert samples.tolist() == np.cumsum(steps.astype(object)).tolist()
        n_outside, bits = C.place_steps(planes, shift, cells, seconds, first, last)
        for sample, found in zip(samples.tolist(), seconds.tolist(), strict=True):
            cell = min(sample >> shift, n_cells - 1)
            _, *line = cells[cell].tolist()
            side = sample >= int(knot[cell])
            assert found == line[side] * float(sample) + line[2 + side]
        assert n_outside == sum(not first <= sample <= last for sample in samples.tolist())
        assert bits == sum_bits(seconds)


def test_what_is_read_only_or_in_pieces_is_refused():
    frozen = np.zeros(3)
    frozen.flags.writeable = False
    with pytest.raises(TypeError, match="read-write"):
        C.place_steps((B,), 1, CELLS, frozen, 0, 9)
    for loop in (C.sum_steps, lambda *given: C.place_steps(*given, 1, CELLS, F, 0, 9)):
        with pytest.raises(TypeError, match=r"tuple|expected"):
            loop([B], *([L] if loop is C.sum_steps else []))
    with pytest.raises((ValueError, BufferError), match="contiguous"):
        C.sum_steps((np.zeros(6, "u1")[::2],), L)
    with pytest.raises(ValueError, match="contiguous"):
        C.is_grouped(np.zeros(6, "i4")[::2], F)
