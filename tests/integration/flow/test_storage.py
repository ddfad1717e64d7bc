"""What takes the room, against sums made in Python from every row."""

from __future__ import annotations

import itertools
import json
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest

from labdata.cli import main
from labdata.errors import QueryError
from labdata.schema.storage_use import AGES, sum_storage
from labdata.testing import insert_dataset, insert_unit

NOW = datetime(2026, 6, 1, tzinfo=UTC)
TYPES = {"task": "task-training", "ephys_g0": "ephys", "odd": None}


class Model:
    """A lab's files as plain records: what the sums are made from a second time."""

    def __init__(self, rig, seed):
        self.rig, self.random, self.numbers = rig, random.Random(seed), itertools.count()
        self.files = {}  # (table, path, storage) -> (size, when)
        self.refers = []  # (table, path, storage, project, subject, type)

    def add(self, table):
        path = f"f{next(self.numbers)}.bin"
        storage = self.random.choice(["data", "analysis", "attic"])
        size = self.random.randrange(5_000_000_000)
        when = NOW - timedelta(days=self.random.uniform(-20, 3000))
        row = {"file_path": path, "storage": storage, "file_size": size}
        getattr(self.rig.lab, table).insert1({**row, "file_datetime": when.replace(tzinfo=None)})
        self.files[table, path, storage] = (size, when)
        return {"file_path": path, "storage": storage}

    def fill(self, project, subjects):
        lab = self.rig.project(project) if project else self.rig.lab
        for subject, (dataset, kind) in itertools.product(subjects, TYPES.items()):
            key = insert_dataset(lab, subject, dataset=dataset)
            lab.Dataset.update1({**key, "dataset_type": kind})
            for file in [self.add("File") for _ in range(self.random.randrange(5))]:
                self.refer(lab, project, key, kind, file)
        insert_unit(lab, {**key, "dataset_name": "ephys_g0"}, spike_times=[30000])
        names = {"subject_name": key["subject_name"], "dataset_name": "ephys_g0"}
        for which in ("features", "waveforms"):
            file = self.add("AnalysisFile")
            lab.connection.query(
                f"UPDATE {lab.SpikeSorting.full_table_name} SET {which}_file=%s, "
                f"{which}_storage=%s WHERE subject_name=%s",
                (*file.values(), names["subject_name"]),
            )
            self.refers.append(
                ("AnalysisFile", *file.values(), project, names["subject_name"], "ephys")
            )
        return lab, key

    def refer(self, lab, project, key, kind, file):
        lab.Dataset.DataFiles.insert1({**key, **file})
        self.refers.append(("File", *file.values(), project, key["subject_name"], kind))

    def sums(self, by, *, projects=None, subjects=None):
        """Sum by hand: group -> files, bytes, files and bytes of results."""
        found = defaultdict(lambda: [0, 0, 0, 0])
        whole = projects is None and subjects is None
        several = projects is None or len(projects) > 1
        for (table, path, storage), (size, when) in self.files.items():
            mine = [
                (project, subject, kind)
                for *file, project, subject, kind in self.refers
                if file == [table, path, storage]
                and (projects is None or project in projects)
                and (subjects is None or subject in subjects)
            ]
            if not (mine or whole):
                continue
            groups = {self.group(by, storage, when, *one, several) for one in mine}
            if by in ("store", "age"):
                groups = {self.group(by, storage, when, None, None, None, several)}
            (group,) = groups if len(groups) == 1 else [(None, "(several)")]
            group = group if groups else (None, "(not referred to)")
            position = 0 if table == "File" else 2
            found[group][position] += 1
            found[group][position + 1] += size
        return dict(found)

    def group(self, by, storage, when, project, subject, kind, several):
        named = project or "(no project)"
        if by == "store":
            return None, storage
        if by == "project":
            return None, named
        if by == "age":
            days = (NOW - when) / timedelta(days=1)
            return None, next((n for n, most in AGES.items() if days < most), "over 5 years")
        return (named if several else None), (subject if by == "subject" else kind) or "(none)"


def read(use):
    return {
        (one.project, one.group): [one.n_raw, one.raw_bytes, one.n_results, one.result_bytes]
        for one in use.groups
    }


@pytest.fixture
def model(rig):
    made = Model(rig, seed=5)
    lab, key = made.fill(None, ["JC1", "JC2"])
    vision, seen = made.fill("vision", ["JC1", "JC7", "JC8"])
    made.fill("motor", ["MM1"])
    # files that are shared: by datasets of a subject, by subjects, by projects
    for keys in (
        [(lab, None, key), (lab, None, {**key, "dataset_name": "task"})],
        [(lab, None, key), (lab, None, {**key, "subject_name": "JC1"})],
        [(lab, None, key), (vision, "vision", seen)],
    ):
        file = made.add("File")
        for where, project, one in keys:
            made.refer(where, project, one, TYPES[one["dataset_name"]], file)
    made.add("File")  # nothing refers to these
    made.add("AnalysisFile")
    return made


@pytest.mark.parametrize("by", ["store", "project", "subject", "type", "age"])
def test_sums_are_those_of_all_rows(model, by):
    lab = model.rig.lab
    choices = [
        {},
        {"projects": ["vision"]},
        {"projects": [None]},
        {"projects": [None, "motor"]},
        {"projects": [None], "subjects": ["JC1"]},
        {"projects": ["vision"], "subjects": ["JC7", "JC8"]},
    ]
    for chosen in choices:
        use = sum_storage(lab, by=by, now=NOW, **chosen)
        assert read(use) == model.sums(by, **chosen), chosen
        sizes = [one.size_bytes for one in use.groups]
        assert sizes == sorted(sizes, reverse=True)
    everything = list(model.files.items())
    total = sum_storage(lab, by=by, now=NOW).total
    assert (total.n_files, total.size_bytes) == (
        len(everything),
        sum(size for _, (size, _) in everything),
    )


def test_an_empty_lab_and_no_subjects(rig):
    for by in ("store", "project", "subject", "type", "age"):
        assert sum_storage(rig.lab, by=by).groups == ()
    assert sum_storage(rig.lab, subjects=[]).groups == ()
    with pytest.raises(QueryError, match="'colour'"):
        sum_storage(rig.lab, by="colour")


def test_the_command_shows_binary_units_and_gives_bytes_to_machines(rig, typed, capsys):
    key = insert_dataset(rig.lab)
    for path, size in (("a.bin", 3 * 2**30), ("b.bin", 2**29)):
        file = {"file_path": path, "storage": "data"}
        rig.lab.File.insert1({**file, "file_size": size, "file_datetime": "2026-01-01"})
        rig.lab.Dataset.DataFiles.insert1({**key, **file})
    out = typed("storage", "--by", "subject").out
    assert " ".join(out.splitlines()[2].split()) == "JC1 2 3.5 GiB 0 0 B 2 3.5 GiB"
    assert out.splitlines()[-1] == "Total: 2 files, 3.5 GiB; raw data 3.5 GiB, results 0 B."
    assert main(["storage", "-a", "JC1", "--by", "type", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "type": "ephys",
            "raw_files": 2,
            "raw_bytes": 3 * 2**30 + 2**29,
            "result_files": 0,
            "result_bytes": 0,
            "files": 2,
            "size_bytes": 3 * 2**30 + 2**29,
        }
    ]
    assert "JC1" in typed("storage", "-a", "JC11", code=1).err  # the nearest
    assert "--by" in typed("storage", "--by", "colour", code=2).err


def test_one_project_or_all(model, typed, told):
    rows = told("storage", "--by", "subject")
    assert {row["project"] for row in rows} >= {"(no project)", "vision", "motor"}
    rows = told("storage", "--by", "subject", "-p", "vision")
    expected = model.sums("subject", projects=["vision"])
    assert {row["subject"]: row["raw_bytes"] for row in rows} == {
        group: size for (_, group), (_, size, _, _) in expected.items()
    }
    assert typed("storage", "-p", "vision").err.startswith("project vision")
