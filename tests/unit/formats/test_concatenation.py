"""Pieces read as one are what numpy's concatenation is, and only what is sliced is read."""

from __future__ import annotations

import numpy as np
import pytest

from labdata.errors import FormatError
from labdata.formats.bands import RecordedBand
from labdata.formats.concatenation import concatenate_bands


class Watched:
    def __init__(self, data):
        self.data, self.read = data, 0
        self.shape = data.shape

    def __getitem__(self, key):
        found = self.data[key]
        self.read += len(found)
        return found


def make_band(data, name="imec0.ap", rate_hz=1000.0, uv=0.5):
    return RecordedBand(name, None, Watched(data), np.full(data.shape[1], uv), rate_hz)


@pytest.fixture
def pieces():
    noise = np.random.default_rng(0)
    return [noise.integers(-99, 99, (n, 3)).astype(np.int16) for n in (10, 1, 25)]


def test_every_slice_is_that_of_the_concatenation(pieces):
    whole, band = np.concatenate(pieces), concatenate_bands([make_band(p) for p in pieces])
    assert band.shape == (36, 3)
    for start in range(37):
        for stop in range(start, 37):
            np.testing.assert_array_equal(band.samples[start:stop], whole[start:stop])
    np.testing.assert_array_equal(band[5:30:4, [2, 0]], whole[5:30:4, [2, 0]])
    np.testing.assert_array_equal(band[-1], whole[-1])
    np.testing.assert_array_equal(band.read_uv(8, 13), whole[8:13] * 0.5)


def test_only_what_is_sliced_is_read(pieces):
    bands = [make_band(p) for p in pieces]
    assert concatenate_bands(bands).samples[9:14].shape == (5, 3)
    assert [band.samples.read for band in bands] == [1, 1, 3]


def test_one_piece_is_itself(pieces):
    band = make_band(pieces[0])
    assert concatenate_bands([band]) is band


@pytest.mark.parametrize("other", [{"name": "imec1.ap"}, {"rate_hz": 999.0}, {"uv": 0.6}])
def test_pieces_of_other_streams_are_refused(pieces, other):
    with pytest.raises(FormatError, match="does not go on from"):
        concatenate_bands([make_band(pieces[0]), make_band(pieces[1], **other)])
    with pytest.raises(FormatError, match="no pieces"):
        concatenate_bands([])
    with pytest.raises(FormatError, match="does not go on from"):
        concatenate_bands([make_band(pieces[0]), make_band(pieces[1][:, :2])])
