"""What a meta file may lack or contradict, and how that is said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from labdata.errors import FormatError
from labdata.formats.spikeglx import channel_uv_per_bit, read_meta, read_probe

Write = Callable[..., Path]
FRAMES = np.zeros((100, 5), np.int16)


def ap(write_stream: Write, **fields: str | None) -> Path:
    fields = {"saved": "4,0,1", "subset": "0:3,384", **fields}
    return write_stream(FRAMES, "imec0.ap", "384,0,1", **fields)


def test_reads_what_is_stated(write_stream: Write) -> None:
    meta = read_meta(ap(write_stream))
    assert (meta.name, meta.stream_name, meta.band, meta.probe_num) == (
        "imec0.ap", "imec0", "ap", 0,
    )  # fmt: skip
    assert meta.saved_channels == (0, 1, 2, 3, 384)
    assert meta.channel_kinds == ("AP", "AP", "AP", "AP", "SY")
    assert meta.channel_counts == {"AP": 4, "LF": 0, "SY": 1}
    assert meta.digital_columns == (4,)
    assert (meta.n_samples, meta.first_sample, meta.file_size_bytes) == (100, 17, 1000)
    assert meta.recorded == datetime(2024, 1, 2, 3, 4, 5)
    assert meta.software == "SpikeGLX 20230905"
    assert meta.warnings == ()
    assert meta.bin_path.name == "run_g0_t0.imec0.ap.bin"


@pytest.mark.parametrize(
    "key", ["fileSizeBytes", "nSavedChans", "snsSaveChanSubset", "imSampRate", "imAiRangeMax",
            "snsApLfSy", "acqApLfSy", "~imroTbl"],
)  # fmt: skip
def test_a_missing_field_is_named(write_stream: Write, key: str) -> None:
    fields = {"subset": None} if key == "snsSaveChanSubset" else {key: None}
    if key == "snsSaveChanSubset":
        path = ap(write_stream, snsSaveChanSubset=None)
    else:
        path = ap(write_stream, **fields)
    with pytest.raises(FormatError, match=f"lacks.*{key.removeprefix('~')}") as caught:
        read_meta(path)
    assert caught.value.hint


def test_all_missing_fields_are_named_at_once(write_stream: Write) -> None:
    path = ap(write_stream, fileSizeBytes=None, imAiRangeMax=None)
    with pytest.raises(FormatError, match="lacks fileSizeBytes, imAiRangeMax"):
        read_meta(path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"subset": "0:4,384"}, "names 6 of 385 acquired channels, nSavedChans=5"),
        ({"subset": "0:3,385"}, "names 5 of 385"),
        ({"subset": "0:3,x"}, "'x' in snsSaveChanSubset"),
        ({"saved": "5,0,0"}, "snsSaveChanSubset has .*snsApLfSy says"),
        ({"saved": "4,1"}, "should be 3 whole numbers"),
        ({"imSampRate": "fast"}, "imSampRate=fast"),
        ({"imSampRate": "0"}, "imSampRate=0"),
        ({"imSampRate": "inf"}, "imSampRate=inf"),
        ({"nSavedChans": "0"}, "nSavedChans=0"),
        ({"fileSizeBytes": "0"}, "fileSizeBytes=0"),
    ],
)
def test_a_contradiction_is_an_error(
    write_stream: Write, fields: dict[str, str], message: str
) -> None:
    with pytest.raises(FormatError, match=message):
        read_meta(ap(write_stream, **fields))


def test_a_duration_that_disagrees_with_the_size_is_a_warning(write_stream: Write) -> None:
    (warning,) = read_meta(ap(write_stream, fileTimeSecs="0.0040")).warnings
    assert "120.0 samples" in warning and "100.0" in warning
    assert read_meta(ap(write_stream, fileTimeSecs="0.00333")).warnings == ()
    (warning,) = read_meta(ap(write_stream, fileTimeSecs=None)).warnings
    assert "could not be checked" in warning


def test_a_size_that_is_not_whole_frames_is_a_warning(write_stream: Write) -> None:
    warnings = read_meta(ap(write_stream, fileSizeBytes="1003")).warnings
    assert any("whole number of frames" in warning for warning in warnings)


def test_an_absent_meta_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="does not exist"):
        read_meta(tmp_path / "run_g0_t0.nidq.bin")


def test_a_name_without_a_stream_is_refused(write_stream: Write, tmp_path: Path) -> None:
    path = ap(write_stream, fileName=None).with_suffix(".meta")
    path = path.rename(tmp_path / "probe.meta")
    with pytest.raises(FormatError, match=r"'probe.meta' does not say"):
        read_meta(path)


def test_rates_keep_every_digit(write_stream: Write) -> None:
    text = "30000.390639481"
    assert read_meta(ap(write_stream, imSampRate=text)).sampling_rate_hz == float(text)


def test_text_that_is_not_utf8_survives(write_stream: Write) -> None:
    path = ap(write_stream).with_suffix(".meta")
    raw = path.read_bytes() + b"userNotes=10 \xb5m\r\n"
    path.write_bytes(raw)
    assert read_meta(path).text.encode("utf-8", "surrogateescape") == raw
    assert read_probe(read_meta(path)).n_channels == 4


def test_gains_belong_to_the_channel_not_to_the_row(write_stream: Write) -> None:
    """A saved subset takes each channel's own gain; by place, 250 would become 100's."""
    rows = "".join(f"({c} 0 0 {100 + c} {50 + c} 1)" for c in range(384))
    path = ap(
        write_stream, subset="7,9,20:21,768", acqApLfSy="384,384,1", imMaxInt="512",
        imAiRangeMax="0.6", imDatPrb_pn="NP1000", imDatPrb_type="0", imChan0apGain="107",
        **{"~imroTbl": f"(0,384){rows}"},
    )  # fmt: skip
    meta = read_meta(path)
    gains = np.array([107, 109, 120, 121])
    np.testing.assert_allclose(channel_uv_per_bit(meta)[:4], 0.6e6 / 512 / gains)
    assert np.isnan(channel_uv_per_bit(meta)[4])
    probe = read_probe(meta)
    np.testing.assert_array_equal(probe.channel_idx, [7, 9, 20, 21])
    np.testing.assert_allclose(probe.uv_per_bit["lf"], 0.6e6 / 512 / (gains - 50))
    # staggered layout of the 1.0: odd channels at x 48 or 32, rows every 20 um
    np.testing.assert_array_equal(probe.positions_um, [[32, 60], [48, 80], [16, 200], [48, 200]])


def test_gain_of_an_old_file_of_a_2_0_probe(write_stream: Write) -> None:
    path = ap(
        write_stream, imDatPrb_type="24", imDatPrb_pn="NP2010", imChan0apGain=None,
        imMaxInt=None, imAiRangeMax="0.5",
        **{"~imroTbl": "(24,384)" + "".join(f"({c} 0 0 0 {c})" for c in range(384))},
    )  # fmt: skip
    assert channel_uv_per_bit(read_meta(path))[0] == pytest.approx(0.5e6 / 8192 / 80)


def test_gain_known_only_from_the_probe_table(write_stream: Write) -> None:
    path = ap(write_stream, imChan0apGain=None)
    assert channel_uv_per_bit(read_meta(path))[0] == pytest.approx(0.62e6 / 2048 / 100)


def test_a_zero_gain_is_refused(write_stream: Write) -> None:
    rows = "".join(f"({c} 0 0 0 250 1)" for c in range(384))
    path = ap(
        write_stream, subset="0:3,768", acqApLfSy="384,384,1", **{"~imroTbl": f"(0,384){rows}"}
    )
    with pytest.raises(FormatError, match="a gain of 0"):
        channel_uv_per_bit(read_meta(path))


def test_an_unknown_probe_says_so(write_stream: Write) -> None:
    path = ap(write_stream, imDatPrb_pn="NP9999")
    with pytest.raises(FormatError, match="NP9999") as caught:
        read_probe(read_meta(path))
    assert "probeinterface" in str(caught.value)


@pytest.mark.parametrize("key", ["imDatPrb_sn", "imDatPrb_pn"])
def test_a_probe_without_identity_is_refused(write_stream: Write, key: str) -> None:
    with pytest.raises(FormatError, match=key):
        read_probe(read_meta(ap(write_stream, **{key: None})))


def test_an_nidq_has_no_probe(write_stream: Write) -> None:
    path = write_stream(np.zeros((10, 2), np.int16), "nidq", "0,0,1,1")
    with pytest.raises(FormatError, match="not a probe"):
        read_probe(read_meta(path))


def test_scales_of_nidq_and_onebox_inputs(write_stream: Write) -> None:
    ni = read_meta(write_stream(np.zeros((10, 5), np.int16), "nidq", "1,1,2,1"))
    volt = 5e6 / 32768
    np.testing.assert_allclose(channel_uv_per_bit(ni), [volt / 200, volt / 10, volt, volt, np.nan])
    obx = read_meta(write_stream(np.zeros((10, 4), np.int16), "obx0.obx", "2,1,1"))
    np.testing.assert_allclose(channel_uv_per_bit(obx), [volt, volt, np.nan, np.nan])
    assert (obx.stream_name, obx.band, obx.probe_num) == ("obx0", "obx", None)
