"""A band is indexed as the numpy array of its samples would be, and reads no more than it must."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labdata.errors import FormatError, LabdataError
from labdata.formats import indexing
from labdata.formats.bands import RecordedBand
from labdata.formats.indexing import index_samples

N_SAMPLES, N_CHANNELS = 17, 5
VALUES = np.arange(N_SAMPLES * N_CHANNELS, dtype=np.int16).reshape(N_SAMPLES, N_CHANNELS)


class Watched:
    """Samples that are read forwards by ranges only, and remember which."""

    shape = VALUES.shape

    def __init__(self):
        self.read = []

    def __getitem__(self, key):
        assert key.step is None and 0 <= key.start <= key.stop <= N_SAMPLES
        self.read.append((key.start, key.stop))
        return VALUES[key]


@pytest.fixture
def band():
    gains = np.full(N_CHANNELS, 2.0)
    return RecordedBand("imec0.ap", None, Watched(), gains, 30_000.0)


slices = st.slices(N_SAMPLES) | st.builds(slice, st.none() | st.integers(-40, 40), st.none())
rows = slices | st.integers(-N_SAMPLES, N_SAMPLES - 1)
columns = (
    st.slices(N_CHANNELS)
    | st.integers(-N_CHANNELS, N_CHANNELS - 1)
    | st.lists(st.integers(-N_CHANNELS, N_CHANNELS - 1))
    | st.lists(st.booleans(), min_size=N_CHANNELS, max_size=N_CHANNELS).map(np.array)
)
keys = rows | st.tuples(rows) | st.tuples(rows, columns)
keys |= st.just(...) | st.tuples(st.just(...), columns) | st.tuples(rows, st.just(...))


@given(keys)
def test_what_it_gives_is_what_numpy_gives(key):
    expected, found = VALUES[key], index_samples(Watched(), key)
    assert found.dtype == np.int16
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)


@given(rows)
def test_only_rows_from_the_first_to_the_last_are_read(key):
    samples = Watched()
    index_samples(samples, key)
    wanted = np.atleast_1d(np.arange(N_SAMPLES)[key])
    bounds = (int(wanted.min()), int(wanted.max()) + 1) if wanted.size else (0, 0)
    assert samples.read == [bounds]


@pytest.mark.parametrize("step", [1, 2, 3, -2, 40])
def test_of_wide_steps_no_more_than_a_block_is_held(monkeypatch, step):
    monkeypatch.setattr(indexing, "_BLOCK_SAMPLES", 4)
    samples = Watched()
    np.testing.assert_array_equal(index_samples(samples, slice(None, None, step)), VALUES[::step])
    longest = max(stop - start for start, stop in samples.read)
    assert longest <= (17 if step == 1 else 4)


@pytest.mark.parametrize(
    "key",
    [
        *(N_SAMPLES, -N_SAMPLES - 1, None, 1.5, "a", True, [1, 2], np.array([True] * N_SAMPLES)),
        *((0, N_CHANNELS), (slice(3), [0, 9]), (0, 0, 0), (0, None), (..., ...), (slice(3), "a")),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_refused(key, band):
    with pytest.raises(LabdataError) as caught:
        band[key]
    assert isinstance(caught.value, IndexError)
    assert caught.value.hint


def test_it_is_an_array_to_others(band):
    assert (band.shape, band.ndim, len(band)) == ((17, 5), 2, 17)
    assert (band.size, band.nbytes, band.dtype) == (85, 170, np.dtype(np.int16))
    assert repr(band) == "<imec0.ap: 17 samples of 5 channels, int16, 0.001 s at 30000 Hz>"
    np.testing.assert_array_equal(np.asarray(band), VALUES)
    assert np.asarray(band, dtype=float).dtype == float
    assert sum(1 for _ in band) == N_SAMPLES
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        with pytest.raises(FormatError, match="is a copy"):
            np.array(band, copy=False)
