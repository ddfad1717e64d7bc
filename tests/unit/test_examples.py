"""Each public function shows its use, and what the examples say is true."""

from __future__ import annotations

import doctest
import inspect
from pathlib import Path
from typing import Any

import pytest

import labdata
from labdata.objects import build_events, build_spikes

FUNCTIONS = sorted(
    name
    for name in labdata.__all__
    if inspect.isfunction(getattr(labdata, name)) and name != "load_ipython_extension"
)


def names_of_examples(folder: Path) -> dict[str, Any]:
    """Two units and four stimuli on one clock."""
    sync = {"clock": "nidq"}
    spikes = build_spikes(
        {3: [2.05, 12.05], 8: [1.5, 2.5, 3.5]},
        stream="imec0",
        t_start_s=0.0,
        t_stop_s=20.0,
        sync=sync,
        unit_coords={"depth": [100.0, 500.0]},
    )
    events = build_events([2.0, 6.0, 10.0, 12.0], stream="nidq", channel=1, sync=sync)
    stimuli = labdata.onsets_of(events, 1)
    known = {"spikes": spikes, "events": events, "stimuli": stimuli}
    return {"labdata": labdata, "folder": folder, **known}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_examples_are_there_and_true(name: str, tmp_path: Path) -> None:
    function = getattr(labdata, name)
    text = inspect.getdoc(function) or ""
    assert "Examples\n--------\n>>> " in text, f"help(labdata.{name}) shows no example"
    found = doctest.DocTestParser().get_doctest(
        text, names_of_examples(tmp_path), name, None, None
    )
    said: list[str] = []
    flags = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    result = doctest.DocTestRunner(optionflags=flags).run(found, out=said.append)
    assert result.failed == 0, "".join(said)
