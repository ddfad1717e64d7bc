"""Windows and numbers that are none are refused in a sentence, wherever they are given."""

import numpy as np
import pytest

import labdata
from labdata.errors import ObjectError, QueryError
from labdata.given import one_number, two_ends
from labdata.objects import build_spikes

SPIKES = build_spikes(
    {1: [0.1, 0.2, 0.7]},
    stream="imec0",
    sync={"clock": "nidq"},
    spike_vars={"spike_depth": [1.0, 2.0, 3.0]},
    t_start_s=0.0,
    t_stop_s=1.0,
)


@pytest.mark.parametrize("given", [(0, 1), [0.0, 1.0], np.array([0, 1]), (-np.inf, np.int64(1))])
def test_two_ascending_numbers_are_a_window(given):
    assert two_ends(given, QueryError) == (float(given[0]), 1.0)


@pytest.mark.parametrize(
    "given", [5, None, (1,), (1, 2, 3), ("0", "1"), "01", (None, 1), ([0, 1], 2), {}]
)
def test_what_is_no_window_is_said_as_it_was_given(given):
    with pytest.raises(QueryError, match="not two numbers: start and stop") as caught:
        two_ends(given, QueryError, name="window_ms")
    assert f"window_ms is {given!r}" in str(caught.value)


@pytest.mark.parametrize("given", [(1, 1), (2, 1), (np.nan, 1), (0, np.nan)])
def test_an_empty_window_is_refused(given):
    with pytest.raises(QueryError, match="is empty"):
        two_ends(given, QueryError)


def test_an_endless_window_is_refused_where_it_may_not_be():
    with pytest.raises(QueryError, match="from 0 to inf s is empty or without end"):
        two_ends((0, np.inf), QueryError, endless=False)


@pytest.mark.parametrize("given", ["3", b"3", True, None, [1, 2], {}])
def test_one_number_is_no_text_and_no_list(given):
    with pytest.raises(QueryError, match=r"bin_s is .* which is no number"):
        one_number(given, "bin_s", QueryError)


@pytest.mark.parametrize(
    "call",
    [
        lambda: labdata.align_spikes(SPIKES, [0.5], window_s=3),
        lambda: labdata.psth(SPIKES, [0.5], window_s=("a", "b")),
        lambda: labdata.psth(SPIKES, [0.5], bin_s="10 ms"),
        lambda: labdata.count_spikes(SPIKES, [0.5], bin_s=None),
        lambda: labdata.correlogram(SPIKES, window_s=(-0.1, 0.1)),
        lambda: labdata.correlogram(SPIKES, bin_s="1 ms"),
        lambda: labdata.drift_map(SPIKES, "1 s"),
        lambda: labdata.drift_map(SPIKES, 1.0, "10 um"),
        lambda: labdata.tuning_curve(SPIKES, [1.0], [0.5], bins="many"),
        lambda: labdata.restrict_time(SPIKES, "0", "1"),
    ],
)
def test_functions_of_spikes_refuse_in_words(call):
    with pytest.raises(ObjectError, match=r"no number|not two numbers|neither a number"):
        call()
