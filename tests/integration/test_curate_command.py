"""Curation at the command line, as a user types and reads it."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from labdata.cli import main
from labdata.schema import default_lab as lab
from labdata.testing import insert_dataset, insert_unit

pytestmark = [
    pytest.mark.database,
    pytest.mark.filterwarnings("ignore::labdata.objects.UnsyncedWarning"),
]
TRAINS = {0: [100, 900, 5000], 3: [50, 700, 5000, 70000], 7: [4, 8]}
JC1 = ("-a", "JC1")


@pytest.fixture
def sorting(embedded_lab: Path) -> dict[str, Any]:
    key = insert_unit(
        lab,
        insert_dataset(lab),
        spike_times=np.array(TRAINS[0]),
        spike_amplitudes=np.array([50, 60, 70], "float32"),
    )
    sorting = {k: key[k] for k in lab.SpikeSorting.primary_key}
    for unit in (3, 7):
        lab.SpikeSorting.Unit.insert1(
            {**sorting, "unit_id": unit, "spike_times": np.array(TRAINS[unit])}
            | {"spike_amplitudes": np.arange(len(TRAINS[unit]), dtype="float32")}
        )
    return sorting


@pytest.fixture
def curate(sorting, capsys):
    """Run ``labdata curate``; its output, or with code its error."""

    def run(*words: object, code: int = 0) -> str:
        capsys.readouterr()
        assert main(["curate", *map(str, words)]) == code
        said = capsys.readouterr()
        return said.err if code else said.out

    return run


def told(curate, *words) -> list[dict[str, Any]]:
    return json.loads(curate(*words, "--json"))


def test_from_labels_to_an_undo(curate) -> None:
    assert curate("log", *JC1) == "Nothing was curated yet.\n"
    assert (
        curate("label", 0, 3, "--label", "SUA", *JC1) == "Labelled 0, 3 SUA. 3 units; entry 0.\n"
    )
    said = curate("merge", *JC1, 0, 3, "--note", "one drifting unit")  # units after options
    assert said == "Merged 0, 3 into 8. 2 units; entry 1.\n"
    assert told(curate, "label", 8, "--label", "MUA", *JC1)[0]["units"] == "8"
    said = curate("split", 8, "--where", "sample < 800 & amplitude >= 1", *JC1)
    assert said == "Split 8 into 9 (5 spikes) and 10 (2 spikes). 3 units; entry 3.\n"
    units = {row["unit_id"]: row for row in told(curate, "units", *JC1)}
    assert {
        u: (row["made_by"], row["source_units"], row["n_spikes"]) for u, row in units.items()
    } == {7: ("sorter", "7", 2), 9: ("split", "0 3", 5), 10: ("split", "0 3", 2)}
    assert curate("undo", *JC1).startswith(
        f"Undid entry 3, the split of 8 by {getpass.getuser()}. 2 units"
    )
    assert curate("label", 8, "--label", "", *JC1).startswith("No label on 8.")
    rows = told(curate, "log", *JC1)
    assert [row["action"] for row in rows] == ["label", "merge", "label", "split", "undo", "label"]
    assert [row["holds"] for row in rows] == ["yes", "yes", "yes", "undone", "", "yes"]
    assert rows[1]["note"] == "one drifting unit" and rows[1]["made"] == "8"
    assert rows[4]["units"] == "entry 3" and rows[4]["undoes"] == 3
    assert {row["curated_by"] for row in rows} == {getpass.getuser()}
    table = curate("log", *JC1)
    assert "when (UTC)" in table and "one drifting unit" in table and len(table.split("\n")) > 6
    trains = {u["unit_id"]: u["spike_times"] for u in (lab.SpikeSorting & {}).curation().units()}
    assert trains[8].tolist() == sorted(TRAINS[0] + TRAINS[3])


def test_a_split_by_a_file(curate, tmp_path) -> None:
    np.save(tmp_path / "groups.npy", [2, 5, 2, 9])
    curate("split", 3, "--groups", tmp_path / "groups.npy", *JC1)
    trains = {u["unit_id"]: u["spike_times"] for u in (lab.SpikeSorting & {}).curation().units()}
    assert [trains[u].tolist() for u in (8, 9, 10)] == [[50, 5000], [700], [70000]]
    for wrong in (tmp_path / "none.npy", __file__):
        assert "cannot be read from" in curate("split", 0, "--groups", wrong, *JC1, code=1)
    np.save(tmp_path / "short.npy", [0, 1])
    said = curate("split", 0, "--groups", tmp_path / "short.npy", *JC1, code=1)
    assert "A split of 3 spikes needs a group for each, not shape (2,)" in said


@pytest.mark.parametrize(
    "words,said",
    [
        (("label", 99, "--label", "SUA"), "Unit 99 is not there: this sorting never had it"),
        (("merge", 0, 99), "It has 3 units: 0, 3, 7."),
        (("undo",), "nothing to undo"),
        (("split", 99, "--where", "time > 1"), "Unit 99 is not there"),
        (("split", 0, "--where", "time > 1e6"), "none of the 3 spikes of unit 0"),
        (("split", 0, "--where", "sample > 0"), "all of the 3 spikes of unit 0"),
        (
            ("split", 0, "--where", "sample > 0"),
            "sample from 100 to 5000, amplitude from 50 to 70.",
        ),
        (("split", 0, "--where", "depth > 0"), "'depth' in 'depth > 0' is not a column"),
        (("export", "--to", "units.xls"), "not exported as .xls"),
    ],
)
def test_what_cannot_be_done_says_why(curate, words, said) -> None:
    assert said in curate(*words, *JC1, code=1)
    assert len(lab.UnitCuration()) == 0


@pytest.mark.parametrize(
    "words,said",
    [
        (("merge", 3), "two or more"),
        (("merge", 3, 3), "two or more"),
        (("label", "--label", "SUA"), "which units"),
        (("label", 3), "takes --label"),
        (("merge", 0, 3, "--label", "SUA"), "--label is of `labdata curate label`"),
        (("split", 0, 3, "--where", "time > 1"), "one unit, not 2"),
        (("split", 0), "takes --where or --groups"),
        (("split", 0, "--where", "x > 1", "--groups", "a.npy"), "not both"),
        (("undo", 3), "takes no units, but 3 is given"),
        (("merge", "three", 7), "'three' is not the number of a sorted unit"),
        (("glue", 3, 7), "invalid choice: 'glue'"),
        (("export",), "takes --to"),
    ],
)
def test_a_wrong_line_is_refused_before_the_database_is_asked(curate, words, said) -> None:
    assert said in curate(*words, *JC1, code=2)


def test_a_unit_that_was_merged_says_into_which(curate) -> None:
    curate("merge", 0, 3, *JC1)
    curate("split", 8, "--where", "sample < 800", *JC1)
    assert "Unit 3 is not there: it was merged into 8." in curate("merge", 3, 7, *JC1, code=1)
    assert "it was split into 9 and 10" in curate("label", 8, "--label", "SUA", *JC1, code=1)
    curate("undo", *JC1)
    assert "what made it was undone" in curate("label", 9, "--label", "SUA", *JC1, code=1)
    assert len(lab.UnitCuration()) == 3


def test_one_sorting_is_chosen(curate, sorting) -> None:
    lab.SpikeSortingParams.insert1(
        {
            "parameter_set_num": 6,
            "algorithm_name": "ks",
            "parameters_dict": {},
            "parameters_hash": "2" * 64,
        }
    )
    lab.SpikeSorting.insert1({**sorting, "parameter_set_num": 6})
    said = curate("units", *JC1, code=1)
    assert "JC1 has 2 such sortings: -s 20250601_100000 -d ephys_g0 --probe 0" in said
    assert "Say which, by --parameter-set." in said
    assert curate("units", *JC1, "--parameter-set", 6) == "No units are left.\n"
    said = curate("units", *JC1, "--probe", 4, code=1)
    assert "JC1 has no sorting --probe 4." in said and "--parameter-set 5; -s" in said
    assert "no subject 'JC9'" in curate("units", "-a", "JC9", code=1)
    assert "no session '2025'" in curate("units", *JC1, "-s", "2025", code=1)
    insert_dataset(lab, "JC2")
    assert "JC2 has no sorting yet." in curate("units", "-a", "JC2", code=1)
    assert "-a" in curate("units", code=2)


def test_units_are_exported_and_nothing_is_written_over(curate, tmp_path) -> None:
    curate("merge", 0, 3, *JC1)
    curate("label", 8, "--label", "SUA", *JC1)
    for name, separator in (("u.csv", ","), ("u.tsv", "\t")):
        curate("export", "--to", tmp_path / name, *JC1)
        table = pd.read_csv(tmp_path / name, sep=separator, keep_default_na=False)
        assert table.to_dict("records") == told(curate, "units", *JC1)
    curate("export", "--to", tmp_path / "u.json", *JC1)
    found = json.loads((tmp_path / "u.json").read_text())
    assert found["units"] == told(curate, "units", *JC1) and found["n_entries"] == 2
    assert curate("export", "--to", tmp_path / "u.npz", *JC1).startswith("Wrote 2 units to ")
    with np.load(tmp_path / "u.npz") as arrays:
        assert arrays["unit_id"].tolist() == [7, 8] and arrays["label"].tolist() == ["", "SUA"]
        mine = arrays["spike_samples"][arrays["spike_units"] == 8]
        assert mine.tolist() == sorted(TRAINS[0] + TRAINS[3])
    said = curate("export", "--to", tmp_path / "u.csv", *JC1, code=1)
    assert "exists already" in said
    assert "cannot be written" in curate("export", "--to", tmp_path / "no/u.csv", *JC1, code=1)
