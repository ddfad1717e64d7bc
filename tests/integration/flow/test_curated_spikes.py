"""Spikes after manual curation, against spikes that are pooled and cut by hand."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import xarray as xr
from true_units import KEY, insert_sorting

import labdata
from labdata.errors import ObjectError, QueryError
from labdata.schema import curated_units

PROBE = {**KEY, "probe_num": 0}
COLUMNS = ("spike_time", "sample_index", "spike_amplitude", "spike_depth", "spike_x")


@pytest.fixture(scope="module")
def rig_lab(rig_maker, tmp_path_factory, database_folder, two_probe_run):
    with rig_maker(tmp_path_factory.mktemp("curated"), database_folder) as rig:
        rig.add_subjects("JC1")
        rig.upload(rig.put(rig.record(two_probe_run.run_folder)))
        row = {"stream_name": "imec0", "event_name": 6, "clock_stream": "nidq"}
        row |= {"clock_dataset": KEY["dataset_name"], "clock_stream_event": 7}
        rig.lab.StreamSync.insert1(KEY | row)
        yield rig.lab


@pytest.fixture
def lab(rig_lab, two_probe_run):
    """Units 10, 11 and 12 of a synchronised probe; no log."""
    insert_sorting(rig_lab, two_probe_run, 0)
    (one,) = (rig_lab.SpikeSorting.Unit & PROBE & {"unit_id": 10}).fetch(as_dict=True)
    columns = {name: one[name][::2] for name in ("spike_amplitudes", "spike_positions")}
    samples = one["spike_times"][::2] + 900
    rig_lab.SpikeSorting.Unit.insert1({**one, "unit_id": 12, "spike_times": samples, **columns})
    metrics = (rig_lab.UnitMetrics & PROBE & {"unit_id": 10}).fetch1()
    metrics |= {"unit_id": 12, "num_spikes": len(samples), "firing_rate": None}
    rig_lab.UnitMetrics.insert1(metrics, allow_direct_insert=True)
    yield rig_lab
    for table in (rig_lab.UnitCount.Unit, rig_lab.UnitCount, rig_lab.UnitCuration):
        (table & KEY).delete_quick()
    for table in (rig_lab.UnitMetrics, rig_lab.SpikeSorting.Unit, rig_lab.SpikeSorting):
        (table & KEY).delete_quick()


def open_curation(lab):
    return (lab.SpikeSorting & PROBE).curation()


def by_unit(spikes, unit):
    """All columns of one unit's spikes, as they are in the dataset."""
    mine = spikes["spike_unit"].values == unit
    return {name: spikes[name].values[mine] for name in COLUMNS}


def test_without_a_log_they_are_the_sorters(lab) -> None:
    plain, curated = labdata.spikes(PROBE), labdata.spikes(PROBE, curated=True)
    labdata.validate(curated)
    assert plain.attrs["curated"] == 0
    assert curated.attrs == {**plain.attrs, "curated": 1, "curation_entries": 0}
    assert set(curated["made_by"].values) == {"sorter"}
    own = ["curation_label", "made_by", "source_units"]
    xr.testing.assert_equal(curated.drop_vars(own).load(), plain.load())


def test_merged_and_split_units_have_the_spikes_of_their_sources(lab) -> None:
    plain = labdata.spikes(PROBE)
    curation = open_curation(lab)
    merged = curation.merge([10, 12])
    curation.label([merged], "SUA")
    groups = np.arange(len(by_unit(plain, 11)["spike_time"])) % 3 == 0
    rest, third = curation.split(11, groups)
    found = labdata.spikes(PROBE, curated=True)
    labdata.validate(found)
    assert found["unit"].values.tolist()[-3:] == [merged, rest, third]
    assert not {10, 11, 12} & set(found["unit"].values)
    assert found["curation_label"].sel(unit=merged) == "SUA"
    assert found["made_by"].values.tolist()[-3:] == ["merge", "split", "split"]
    assert found["source_units"].values.tolist()[-3:] == ["10 12", "11", "11"]
    pooled = {n: np.concatenate([by_unit(plain, u)[n] for u in (10, 12)]) for n in COLUMNS}
    order = np.argsort(pooled["sample_index"], kind="stable")
    for name in COLUMNS:
        np.testing.assert_array_equal(by_unit(found, merged)[name], pooled[name][order])
        np.testing.assert_array_equal(
            by_unit(found, third)[name], by_unit(plain, 11)[name][groups]
        )
        left = by_unit(plain, 11)[name][~groups]
        np.testing.assert_array_equal(by_unit(found, rest)[name], left)
        np.testing.assert_array_equal(
            found[name][3:-3:7].values, found[name].values[3:-3:7], err_msg="lazy"
        )
    assert found.attrs["clock"] == "nidq"
    assert found.attrs["stream_n_extrapolated"] == plain.attrs["stream_n_extrapolated"]
    assert found.attrs["curation_entries"] == 3 and found.attrs["curation_by"]
    last = lab.UnitCuration.fetch("entry_datetime", order_by="entry_num")[-1]
    assert found.attrs["curation_datetime"] == str(last)[:19]
    times = {row["unit_id"]: row["spike_times"] for row in curation.get_spike_times()}
    np.testing.assert_array_equal(times[merged], by_unit(found, merged)["spike_time"])
    labels = 'curation_label == "SUA" & made_by == "merge"'
    assert labdata.spikes(PROBE, curated=True, units=labels)["unit"].values == [merged]


def test_units_windows_and_files_are_as_of_sorted_ones(lab, tmp_path) -> None:
    merged = open_curation(lab).merge([10, 12])
    whole = labdata.spikes(PROBE, curated=True, with_=("amplitude", "depth"))
    some = labdata.spikes(PROBE, curated=True, units=[11, merged], window_s=(2.0, 6.0))
    same = labdata.restrict_time(labdata.select_units(whole, [11, merged]), 2.0, 6.0)
    for name in (*COLUMNS, "unit", "spike_unit", "depth", "num_spikes"):
        np.testing.assert_array_equal(some[name].values, same[name].values)
    assert some.attrs == same.attrs
    again = pickle.loads(pickle.dumps(some))
    open_curation(lab).undo()  # what was opened stays what it was
    for name in COLUMNS:
        np.testing.assert_array_equal(again[name].values, same[name].values)
        np.testing.assert_array_equal(some[name].values, same[name].values)
    xr.testing.assert_identical(labdata.load(labdata.save(whole, tmp_path / "s.nc")), whole)
    with pytest.raises(QueryError, match=f"Unit {merged} is not in this sorting"):
        labdata.spikes(PROBE, curated=True, units=[merged])


def test_only_trains_that_are_needed_are_read(lab, monkeypatch) -> None:
    merged = open_curation(lab).merge([10, 12])
    read, real = [], curated_units.read_trains

    def listen(lab, sorting, heads):
        read.append(heads.unit_ids.tolist())
        return real(lab, sorting, heads)

    monkeypatch.setattr(curated_units, "read_trains", listen)
    labdata.spikes(PROBE, curated=True, units=[merged])
    assert [units for units in read if units] == [[10, 12]]
    read.clear()
    open_curation(lab).label([11], "MUA")
    assert [units for units in read if units] == [[10, 12]]


def test_metrics_and_verdicts_are_of_the_units_as_they_are_now(lab) -> None:
    limit = float(labdata.spikes(PROBE)["num_spikes"].max())  # no sorted unit has more
    criteria = {"unit_criteria_id": 7, "sua_criteria": f"num_spikes > {limit}"}
    lab.UnitCountCriteria.insert1(criteria, skip_duplicates=True)
    try:
        merged = open_curation(lab).merge([10, 12])
        lab.UnitCount.populate(PROBE)
        for asked in (None, 7):
            found = labdata.spikes(PROBE, curated=True, criteria=asked)
            count = {u: len(by_unit(found, u)["spike_time"]) for u in found["unit"].values}
            assert found["num_spikes"].values.tolist() == list(count.values())
            passes = [int(n > limit) for n in count.values()]
            assert found["passes_sua"].values.tolist() == passes and passes[-1] == 1
        duration_s = (lab.EphysRecording.ProbeSetting & PROBE).fetch1("n_samples") / 30000
        rate = found["firing_rate"].sel(unit=merged).item()
        assert rate == pytest.approx(count[merged] / duration_s, rel=1e-3)
        assert found["passes_sua"].attrs["unit_criteria_id"] == 7
        with pytest.raises(QueryError, match="criterion 99"):
            labdata.spikes(PROBE, curated=True, criteria=99)
    finally:
        (lab.UnitCount.Unit & KEY).delete_quick()
        (lab.UnitCount & KEY).delete_quick()
        (lab.UnitCountCriteria & criteria).delete_quick()


def test_curated_and_sorted_spikes_are_not_joined(lab) -> None:
    both = [labdata.spikes(PROBE, curated=True), labdata.spikes(PROBE)]
    with pytest.raises(ObjectError, match="curated"):
        labdata.concat_spikes(both)


def test_amplitudes_that_one_source_lacks_are_not_there(lab) -> None:
    first = (lab.SpikeSorting.Unit & PROBE & {"unit_id": 10}).fetch1("KEY")
    lab.SpikeSorting.Unit.update1({**first, "spike_amplitudes": None})
    merged = open_curation(lab).merge([10, 12])
    found = labdata.spikes(PROBE, curated=True)
    assert "spike_amplitude" not in found and "spike_depth" in found
    with pytest.raises(QueryError, match=f"Unit {merged} has no spike_amplitudes"):
        labdata.spikes(PROBE, curated=True, with_=("amplitude",))
    others = labdata.spikes(PROBE, curated=True, units=[11])
    assert others["spike_amplitude"].size == others.sizes["spike"]


def test_the_dashboard_reads_units_as_curated_or_as_sorted(lab) -> None:
    records = pytest.importorskip("labdata_widgets.dashboard.records")

    def listed():
        place = (*KEY.values(), 0)
        (one,) = [one for one in records.list_sortings(lab) if one.place == place]
        return one

    def blocks(loaded):
        return {b.title: b for b in records.describe(lab, chosen, loaded.spikes, loaded.note)}

    chosen = listed()
    assert (chosen.n_entries, records.count_entries(lab, chosen)) == (0, 0)
    assert blocks(records.load_sorting(lab, chosen))["Sorting"].note == ""
    merged = open_curation(lab).merge([10, 12])
    open_curation(lab).label([merged], "SUA")
    chosen = listed()
    assert (chosen.n_entries, records.count_entries(lab, chosen)) == (2, 2)
    assert chosen.label.endswith("curated")
    as_sorted = records.load_sorting(lab, chosen)
    assert as_sorted.spikes["unit"].values.tolist() == [10, 11, 12]
    told = blocks(as_sorted)
    assert told["Sorting"].note.startswith("Curated by hand since (2 entries): these are the")
    assert "Curation" not in told
    as_curated = records.load_sorting(lab, chosen, curated=True)
    same = labdata.spikes(PROBE, curated=True)
    xr.testing.assert_equal(as_curated.spikes.load(), same.load())
    told = blocks(as_curated)
    assert told["Sorting"].note == ""
    assert dict(told["Curation"].facts) | {"by": ""} == {
        "units": "2",
        "merged": "1",
        "labels": "1 SUA",
        "entries": "2 in the log",
        "last": f"{same.attrs['curation_datetime'][:16]} UTC",
        "by": "",
    }
