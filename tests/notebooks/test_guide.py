"""Every guide notebook runs from its first cell to its last, and says what is true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

GUIDE = Path(__file__).parents[2] / "notebooks" / "guide"

pytestmark = [pytest.mark.slow, pytest.mark.sorting, pytest.mark.database]


def run_notebook(path: Path, folder: Path) -> list[Any]:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=400, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text_of(cells: list[Any], source: str) -> str:
    """All text that the cell containing a piece of source has put out."""
    (cell,) = [c for c in cells if source in c.source]
    texts = [o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell.outputs]
    return "\n".join(texts)


def html_of(cells: list[Any], source: str) -> str:
    (cell,) = [c for c in cells if source in c.source]
    return "\n".join(o.get("data", {}).get("text/html", "") for o in cell.outputs)


def test_guide_notebooks_are_stored_without_output() -> None:
    import nbformat

    for path in GUIDE.glob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        assert not [c for c in cells if c.get("outputs")], f"{path.name} has stored output"


def test_from_a_raw_recording_to_a_response(tmp_path: Path) -> None:
    cells = run_notebook(GUIDE / "raw_to_response.ipynb", tmp_path)
    assert "MiB" in html_of(cells, "%labdata sessions")
    assert "imec0, nidq" in html_of(cells, 'key = dict(subject_name="JC1"')
    report = text_of(cells, "StreamSync().insert1")
    assert re.search(r"pulses matched +30 of 30 on imec0", report)
    spikes = text_of(cells, "spikes = labdata.spikes(key)")
    assert "clock:" in spikes
    assert "nidq" in spikes
    psth = text_of(cells, "psth = labdata.count_spikes")
    assert re.search(r"unit: \d+, trial: 32, time: 40", psth)
    assert "'nidq'" in text_of(cells, "get_spike_times")
    assert text_of(cells, "labdata.load(path)") == "True"
    (explorer,) = [c for c in cells if "UnitExplorer" in c.source]
    mimes = [mime for o in explorer.outputs for mime in o.get("data", {})]
    assert "application/vnd.jupyter.widget-view+json" in mimes
