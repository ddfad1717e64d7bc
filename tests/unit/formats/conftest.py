"""Small SpikeGLX streams with any channels, for tests of the readers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

#: stream suffix -> fields that a meta of that stream needs besides sizes and channels
_FIELDS = {
    "imec0.ap": {
        "typeThis": "imec",
        "imSampRate": "30000",
        "imAiRangeMax": "0.62",
        "imMaxInt": "2048",
        "imChan0apGain": "100",
        "imDatPrb_pn": "NP2013",
        "imDatPrb_sn": "22000000001",
        "imDatPrb_type": "2013",
        "~imroTbl": "(2013,384)" + "".join(f"({c} 0 0 0 {c})" for c in range(384)),
    },
    "nidq": {
        "typeThis": "nidq",
        "niSampRate": "10000",
        "niAiRangeMax": "5",
        "niMaxInt": "32768",
        "niMNGain": "200",
        "niMAGain": "10",
    },
    "obx0.obx": {
        "typeThis": "obx",
        "obSampRate": "30303.001",
        "obAiRangeMax": "5",
        "obMaxInt": "32768",
    },
}
_COUNTS = {"imec0.ap": "ApLfSy", "nidq": "MnMaXaDw", "obx0.obx": "XaDwSy"}

WriteStream = Callable[..., Path]


@pytest.fixture
def write_stream(tmp_path: Path) -> WriteStream:
    """``write_stream(frames, stream, acquired, saved=None, subset='all', **fields)`` -> bin."""

    def write(
        frames: NDArray[np.int16],
        stream: str,
        acquired: str,
        *,
        saved: str | None = None,
        subset: str = "all",
        name: str = "run_g0_t0",
        folder: Path | None = None,
        **fields: str | None,
    ) -> Path:
        path = (folder or tmp_path) / f"{name}.{stream}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(np.ascontiguousarray(frames, "<i2").tobytes())
        counts = _COUNTS[stream]
        rate_hz = next(float(v) for k, v in _FIELDS[stream].items() if k.endswith("SampRate"))
        meta: dict[str, str | None] = {
            **_FIELDS[stream],
            f"acq{counts}": acquired,
            f"sns{counts}": saved or acquired,
            "snsSaveChanSubset": subset,
            "nSavedChans": str(frames.shape[1]),
            "fileSizeBytes": str(path.stat().st_size),
            "fileTimeSecs": repr(len(frames) / rate_hz),
            "fileName": f"D:/data/{path.name}",
            "fileCreateTime": "2024-01-02T03:04:05",
            "appVersion": "20230905",
            "firstSample": "17",
            **fields,
        }
        lines = (f"{key}={value}\n" for key, value in meta.items() if value is not None)
        path.with_suffix(".meta").write_text("".join(lines))
        return path

    return write


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed."""
    return np.random.default_rng(1234)
