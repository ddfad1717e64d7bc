"""Simulated probes are the real ones: positions, wiring and gains from outside sources."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from labdata.errors import FormatError
from labdata.testing.probes import (
    CHANNEL_BLOCKS,
    PROBE_MODELS,
    ProbeSpec,
    contact_positions,
    wire,
)

METAS = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "spikeglx_meta"
FOUR_SHANK = [
    "probeinterface/NP2_2013_all_channels.imec0.ap.meta",
    "probeinterface/NP2_4_shanks.imec0.ap.meta",
    "ibl-neuropixel/sampleNP2.4_4shanks_g0_t0.imec.ap.meta",
]


@pytest.mark.parametrize("part_number", PROBE_MODELS)
def test_positions_are_those_of_probeinterface(part_number: str) -> None:
    from probeinterface.neuropixels_tools import build_neuropixels_probe

    model = PROBE_MODELS[part_number]
    probe = build_neuropixels_probe(part_number)
    ids = [re.fullmatch(r"(?:s(\d+))?e(\d+)", str(name)) for name in probe.contact_ids]
    shank = np.array([int(m[1] or 0) for m in ids if m])
    electrode = np.array([int(m[2]) for m in ids if m])
    assert (
        electrode.size == probe.get_contact_count() == (2 * model.rows_per_shank * model.n_shanks)
    )
    np.testing.assert_array_equal(
        contact_positions(model, shank, electrode), probe.contact_positions
    )
    assert model.ap_gain in (probe.annotations.get("ap_gain"), 500.0)


@pytest.mark.skipif(not METAS.is_dir(), reason="the real metas (shared/data) are not here")
@pytest.mark.parametrize("name", FOUR_SHANK)
def test_channel_of_an_electrode_is_that_of_real_recordings(name: str) -> None:
    (table,) = re.findall(r"imroTbl=(.*)", (METAS / name).read_text())
    rows = re.findall(r"\((\d+) (\d+) (\d+) (\d+) (\d+)\)", table)
    assert len(rows) == 384
    for channel, shank, _, _, electrode in (map(int, row) for row in rows):
        block = CHANNEL_BLOCKS[shank][electrode % 384 // 48]
        assert channel == 48 * block + electrode % 48


@pytest.mark.parametrize(
    "spec",
    [
        ProbeSpec(),
        ProbeSpec(n_channels=384),
        ProbeSpec(n_channels=96, shanks=(2,)),
        ProbeSpec("NP1000", n_channels=384),
        ProbeSpec("NP1000", n_channels=7),
    ],
)
def test_wiring_is_one_to_one(spec: ProbeSpec) -> None:
    wiring = wire(spec)
    np.testing.assert_array_equal(wiring.imro[:, 0], np.arange(384))
    assert len({(s, e) for _, s, e in wiring.imro.tolist()}) == 384
    assert wiring.saved.size == spec.n_channels == len(wiring.positions_um)
    assert (np.diff(wiring.saved) > 0).all()
    assert len(set(map(tuple, wiring.positions_um))) == spec.n_channels
    counts = np.bincount(wiring.shank)
    assert set(counts[counts > 0]) == {spec.n_channels // np.count_nonzero(counts)}


def test_shanks_can_be_chosen() -> None:
    wiring = wire(ProbeSpec(n_channels=40, shanks=(1, 3)))
    assert set(wiring.shank) == {1, 3}
    assert set(wiring.positions_um[:, 0]) == {250.0, 282.0, 750.0, 782.0}


@pytest.mark.parametrize(
    "spec",
    [
        ProbeSpec(n_channels=63),
        ProbeSpec(n_channels=0),
        ProbeSpec(n_channels=400),
        ProbeSpec(n_channels=96 * 2, shanks=(0,)),
        ProbeSpec(shanks=(4,)),
    ],
)
def test_channels_that_do_not_fit_are_refused(spec: ProbeSpec) -> None:
    with pytest.raises(FormatError, match="cannot be spread"):
        wire(spec)


def test_an_unknown_probe_is_refused() -> None:
    with pytest.raises(FormatError, match="NP2013"):
        wire(ProbeSpec("NP9"))
