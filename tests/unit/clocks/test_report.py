import json

import numpy as np
import pytest

from labdata.clocks import SyncReport, fit_clock


@pytest.fixture
def report(world) -> SyncReport:
    w = world(duration_s=600)
    clock = w.pulses("clock", drop=[250], extra=[100.4])
    return fit_clock(w.pulses("stream"), clock, stream="imec0", clock="nidq").report


def test_the_report_names_what_was_lost_and_added(report, world):
    w = world(duration_s=600)
    assert (report.n_stream, report.n_clock, report.n_matched) == (600, 600, 599)
    assert report.dropped_in_clock_index == (250,)
    np.testing.assert_allclose(report.dropped_in_clock_s, w.clock(250.1234), atol=4e-5)
    np.testing.assert_allclose(report.spurious_in_clock_s, w.clock(100.4), atol=4e-5)
    assert report.dropped_in_stream_s == ()
    assert report.drift_ppm == pytest.approx(-45, abs=0.1)
    assert report.offset_s == pytest.approx(0, abs=1e-4)
    assert report.period_s == pytest.approx(1, abs=1e-4)
    assert report.residual_rms_s < report.residual_max_s < 1e-4


def test_the_headline_is_what_a_badge_shows(report):
    clock, error, *rest = report.headline.split(" · ")
    assert (clock, *rest) == ("nidq", "1 pulse lost", "1 spurious pulse", "offset assumed")
    assert error.endswith(" µs")
    assert 0 < float(error.split()[0]) < 100


def test_text_and_html_say_the_same(report):
    text, html = str(report), report._repr_html_()
    assert text == repr(report)
    for fact in ("599 of 600", "nidq dropped 1 pulse: at 250.1", "ppm"):
        assert fact in text
        assert fact in html


def test_names_are_escaped_in_html():
    pulses = np.arange(10.0)
    report = fit_clock(pulses, pulses, stream="<b>", clock="&").report
    assert "<b>" not in report._repr_html_()


def test_it_survives_json(report):
    facts = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert facts["dropped_in_clock_index"] == [250]
    assert facts["headline"] == report.headline
    assert facts["alternative_offset_s"] is None or isinstance(
        facts["alternative_offset_s"], float
    )


def test_it_comes_back_from_json_whole(report):
    assert report.n_dropped and report.n_spurious and report.extrapolated_spans_s is not None
    assert SyncReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report


def test_attributes_are_text_and_numbers_and_counts_speak_of_the_stream(report):
    attrs = report.to_attrs()
    assert {type(v) for v in attrs.values()} <= {str, int, float}
    assert attrs["synced"] == 1
    assert (attrs["stream"], attrs["clock"]) == ("imec0", "nidq")
    assert attrs["stream_sync_n_dropped"] == 1
    assert attrs["stream_sync_n_pulses"] == 599
    assert attrs["sync_residual_max_s"] == report.residual_max_s
    assert "1 pulse" in attrs["sync_note"]


def test_an_ambiguous_offset_is_said_everywhere(world):
    w = world(phase_s=0.5, lead_s=0.731)
    report = fit_clock(w.pulses("stream"), w.pulses("clock"), clock="nidq").report
    assert report.ambiguous_offset
    assert report.headline.endswith("offset ambiguous")
    assert report.to_attrs()["sync_ambiguous_offset"] == 1
    assert "Give the spans" in report.to_attrs()["sync_note"]
    assert "offset ambiguous" in report._repr_html_()


def test_all_is_well_has_no_warning():
    pulses = np.arange(100.0) + 0.1
    report = fit_clock(pulses, pulses, clock="nidq", offset_hint_s=0.0).report
    assert report.warnings == ()
    assert "sync_note" not in report.to_attrs()


def test_an_offset_that_regular_pulses_cannot_decide_is_called_assumed():
    pulses = np.arange(100.0) + 0.1
    span = (0.0, 100.5)
    # 3 s later on the clock: without a word from outside no pulse can tell that from 0 s
    shifted = fit_clock(pulses, pulses, clock="nidq", stream_span_s=span, clock_span_s=span).report
    assert shifted.assumed_offset
    assert shifted.headline.endswith("offset assumed")
    assert "started and stopped" in shifted.to_attrs()["sync_note"]
    assert "offset assumed" in shifted._repr_html_()
    irregular = np.cumsum(np.random.default_rng(0).uniform(0.5, 1.5, 100))
    assert not fit_clock(irregular, irregular + 3.0).report.assumed_offset


def test_a_long_gap_is_mentioned():
    pulses = np.delete(np.arange(1000.0), np.arange(300, 400))
    report = fit_clock(pulses, pulses).report
    assert report.largest_gap_s == pytest.approx(101)
    assert "No pulse for 101.0 s" in " ".join(report.warnings)
