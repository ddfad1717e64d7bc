"""Every real meta file gives the facts that probeinterface, neo and hand calculation gave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labdata.formats.spikeglx import channel_uv_per_bit, read_meta, read_probe

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"
_EXPECTED = DATA / "expected_spikeglx.json"
FACTS: dict[str, Any] = json.loads(_EXPECTED.read_text())["files"] if _EXPECTED.is_file() else {}

pytestmark = pytest.mark.skipif(not FACTS, reason="the real metas (shared/data) are not here")
PROBES = [name for name, fact in FACTS.items() if fact["type"] == "imec"]
AP = [name for name in PROBES if "probeinterface" in FACTS[name]]
WITH_NEO = [name for name, fact in FACTS.items() if "neo" in fact]


@pytest.mark.parametrize("name", FACTS)
def test_stream_and_sampling(name: str) -> None:
    fact, meta = FACTS[name], read_meta(DATA / name)
    assert meta.band == fact["stream"]
    assert meta.sampling_rate_hz == fact["sample_rate"]
    assert meta.n_saved_channels == fact["n_saved_chans"]
    assert len(meta.saved_channels) == len(meta.channel_kinds) == fact["n_saved_chans"]
    assert meta.n_sync_words == fact["n_sync_words"]
    assert meta.file_size_bytes == int(fact["meta_fileSizeBytes"])
    assert meta.n_samples == fact["n_samples_from_size"]
    assert meta.software == f"SpikeGLX {fact['meta_appVersion']}"
    assert meta.recorded is not None
    assert meta.recorded.isoformat() == fact["meta_fileCreateTime"]
    assert meta.duration_s == pytest.approx(float(fact["meta_fileTimeSecs"]), abs=1e-4)
    contradictions = [w for w in meta.warnings if "fileSizeBytes" in w]
    assert (not contradictions) == fact["size_vs_time_consistent"]


@pytest.mark.parametrize("name", AP)
def test_geometry(name: str) -> None:
    fact, probe = FACTS[name]["probeinterface"], read_probe(read_meta(DATA / name))
    assert probe.part_number == fact["model"]
    assert probe.probe_id == fact["serial"]
    assert probe.n_channels == fact["n_contacts"]
    assert probe.positions_um.shape == (fact["n_contacts"], 2)
    assert len(np.unique(probe.shank)) == fact["n_shanks_with_contacts"]
    used = [int(shank) for shank in fact["shank_ids_used"]] or [0]
    np.testing.assert_array_equal(np.unique(probe.shank), used)
    assert probe.n_shanks >= max(used) + 1
    np.testing.assert_allclose(np.unique(probe.positions_um[:, 0]), fact["x_unique_sorted"])
    depth = probe.positions_um[:, 1]
    assert (depth.min(), depth.max()) == (fact["y_min"], fact["y_max"])
    assert np.diff(np.unique(depth)).min() == fact["y_pitch_min"]
    first = probe.positions_um[probe.shank == probe.shank.min()]
    assert np.diff(np.unique(first[:, 0])).min() == fact["x_pitch_min_first_shank"]
    for i, contact in enumerate(fact["first_contacts"]):
        assert tuple(probe.positions_um[i]) == (contact["x"], contact["y"])
        assert probe.shank[i] == int(contact["shank"] or 0)
    assert len(set(map(tuple, probe.positions_um))) == probe.n_channels


@pytest.mark.parametrize("name", PROBES)
def test_microvolts_a_bit(name: str) -> None:
    fact, meta = FACTS[name]["own"], read_meta(DATA / name)
    probe = read_probe(meta)
    np.testing.assert_allclose(np.unique(probe.uv_per_bit["ap"]), fact["AP_uV_per_bit"])
    if "LF_uV_per_bit" in fact:
        np.testing.assert_allclose(np.unique(probe.uv_per_bit["lf"]), fact["LF_uV_per_bit"])
    columns = channel_uv_per_bit(meta)
    assert np.isnan(columns).sum() == FACTS[name]["n_sync_words"]
    expected = fact["LF_uV_per_bit" if meta.band == "lf" else "AP_uV_per_bit"]
    np.testing.assert_allclose(np.unique(columns[np.isfinite(columns)]), expected)


@pytest.mark.parametrize("name", WITH_NEO)
def test_agrees_with_neo(name: str) -> None:
    fact, meta = FACTS[name]["neo"], read_meta(DATA / name)
    to_microvolts = {"uV": 1.0, "V": 1e6}[fact["units"]]
    first = fact.get("gain_to_uv_first", fact.get("gain_to_v_first"))
    assert channel_uv_per_bit(meta)[0] == pytest.approx(first * to_microvolts)
    assert meta.sampling_rate_hz == fact["sampling_rate"]
    assert meta.n_samples == fact["sample_length"]


@pytest.mark.skipif(not FACTS, reason="the real metas (shared/data) are not here")
def test_shanks_of_the_probe_not_only_those_used() -> None:
    """Only shanks 1 and 2 of four were recorded from; the probe still has four."""
    name = next(n for n in AP if "run-001cut" in n)
    assert read_probe(read_meta(DATA / name)).n_shanks == 4


def test_probe_number_is_the_one_in_the_file_name() -> None:
    """faults 9: numbered by place in a list, a lone imec1 became probe 0."""
    folder = DATA / "spikeglx_meta" / "ibl-neuropixel"
    assert read_meta(folder / "sample3B_g0_t0.imec1.ap.meta").probe_num == 1
    assert read_meta(folder / "sample3B_g0_t0.imec1.ap.meta").name == "imec1.ap"
    assert read_meta(folder / "sample3A_g0_t0.imec.ap.meta").probe_num == 0
    assert read_meta(folder / "sample3B_g0_t0.nidq.meta").probe_num is None


def test_a_file_renamed_since_says_so() -> None:
    folder = DATA / "spikeglx_meta"
    renamed = read_meta(folder / "ibl-neuropixel" / "sampleNP2.4_1shank_g0_t0.imec.ap.meta")
    assert any("renamed" in warning for warning in renamed.warnings)
    nameless = read_meta(folder / "probeinterface" / "NP1_saved_only_subset_of_channels.meta")
    assert nameless.name == "imec1.ap"
    assert any("does not say its stream" in warning for warning in nameless.warnings)


def test_geometry_of_an_lf_file_is_that_of_its_ap_file() -> None:
    folder = DATA / "spikeglx_meta" / "ibl-neuropixel"
    ap, lf = (
        read_probe(read_meta(folder / f"sample3B_g0_t0.imec1.{band}.meta"))
        for band in ("ap", "lf")
    )
    np.testing.assert_array_equal(ap.positions_um, lf.positions_um)
    np.testing.assert_array_equal(ap.channel_idx, lf.channel_idx)
    assert ap.probe_id == lf.probe_id
