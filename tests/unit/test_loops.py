"""The compiled loops: the same as in NumPy to the bit, and no reading beyond an array's end.

What they are for is tested where they are used, with them and without.
"""

from __future__ import annotations

import numpy as np
import pytest

from labdata import loops
from labdata.objects import _groups, _windows, correlograms

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


F, L, J, U = (np.zeros(3, dtype) for dtype in ("f8", "i8", "i4", "u4"))


@pytest.mark.parametrize(
    ("loop", "arrays"),
    [
        ("place_steps", (U, 1, L, L[:2], F, F, F, 0, 9)),  # a knot too few
        ("place_steps", (U, 1, L[:0], L[:0], F, F, F, 0, 9)),
        ("place_steps", (U, 63, L, L, F, F, F, 0, 9)),
        ("place_steps", (U, 1, L, L, F, F[:2], F, 0, 9)),
        ("place_steps", (U, 1, L, L, F[:0], F[:0], F, 0, 9)),
        ("place_steps", (U, 1, L, L, F, F, F[:2], 0, 9)),
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


def test_lines_that_are_not_there_are_not_read():
    """Whatever a table of cells says, a line is one of those that were given."""
    lines = np.array([5.0, 7.0])
    for line in (-9, 2**62, 1):
        seconds = np.empty(3)
        cells = np.array([line, line]), np.array([0, 1])
        C.place_steps(np.ones(3, "u4"), 0, *cells, lines, np.zeros(2), seconds, 0, 9)
        np.testing.assert_array_equal(seconds, [7.0, 14.0, 21.0])


def test_what_is_read_only_or_in_pieces_is_refused():
    frozen = np.zeros(3)
    frozen.flags.writeable = False
    with pytest.raises(TypeError, match="read-write"):
        C.place_steps(U, 1, L, L, F, F, frozen, 0, 9)
    with pytest.raises(ValueError, match="contiguous"):
        C.is_grouped(np.zeros(6, "i4")[::2], F)
