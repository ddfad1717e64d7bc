"""Spikes that are kept on this computer: the same numbers, or none."""

from __future__ import annotations

import json
import logging
import os

import numpy as np
import pytest
from test_clocks_of_streams import KEY, add_sorting, add_stream, sync

import labdata
from labdata.database.codecs import SpikeTrainCodec
from labdata.errors import ObjectError, QueryError
from labdata.objects import UnsyncedWarning
from labdata.schema import clock_inputs, placed_sorting, spike_trains, train_cache
from labdata.stores.mounts import Mount

RNG = np.random.default_rng(3)
UNITS = {unit: np.sort(RNG.integers(0, 60_000, 500)) for unit in (2, 4, 7)}


@pytest.fixture
def lab(lab_rig, monkeypatch):
    lab = lab_rig.lab
    lab.Session.insert1({**KEY, "session_datetime": "2024-03-05"}, ignore_extra_fields=True)
    add_stream(lab, KEY, "imec0", 6, 0.0)
    add_stream(lab, KEY, "nidq", 7, 100.0)
    sync(lab, KEY, "imec0", "6", "nidq", "7")
    lab.sorting = add_sorting(lab, KEY, 0, UNITS)
    monkeypatch.setattr(placed_sorting, "LEAST_SPIKES", 1000)
    return lab


@pytest.fixture
def folder(lab_rig):
    return lab_rig.home / "scratch" / f"labdata-spikes-{os.getuid()}"


@pytest.fixture
def reads(monkeypatch):
    """Trains that were fetched from the database."""
    found = []
    original = spike_trains.read_trains

    def read(lab, sorting, heads):
        found.append(heads.unit_ids.tolist())
        return original(lab, sorting, heads)

    monkeypatch.setattr(placed_sorting, "read_trains", read)
    return found


def uncached(lab_rig, lab, **options):
    lab_rig.prefer(spike_cache_gb=0)
    found = labdata.spikes(lab.sorting, **options).load()
    lab_rig.prefer(spike_cache_gb=20)
    return found


def test_the_second_time_nothing_is_fetched_and_all_is_the_same(lab_rig, lab, folder, reads):
    plain = uncached(lab_rig, lab)
    assert not folder.exists()
    first, second = (labdata.spikes(lab.sorting) for _ in range(2))
    assert reads == [[2, 4, 7], [2, 4, 7]]  # without the cache, and once with it
    for one in (first, second):
        assert plain.identical(one.load())
        assert plain.attrs == one.attrs
    for ending, n_bytes in ((".trains", 8), (".labels", 4)):
        (file,) = folder.glob(f"*{ending}")
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.stat().st_size > 1500 * n_bytes


@pytest.mark.parametrize(
    "options",
    [{"units": [4]}, {"units": [2, 7]}, {"window_s": (110.0, 130.0)}, {"units": []},
     {"units": [7], "window_s": (105.0, 106.0)}, {"window_s": (110.0, 110.0 + 1e-9)}],
)  # fmt: skip
def test_units_and_windows_of_what_is_kept(lab_rig, lab, reads, options):
    plain = uncached(lab_rig, lab, **options)
    labdata.spikes(lab.sorting)
    reads.clear()
    found = labdata.spikes(lab.sorting, **options)
    assert reads == []
    assert plain.identical(found.load())


def test_a_window_outside_the_recording_is_refused_of_what_is_kept_too(lab_rig, lab):
    said = []
    for limit_gb in (0, 20):
        lab_rig.prefer(spike_cache_gb=limit_gb)
        labdata.spikes(lab.sorting)
        with pytest.raises(ObjectError, match="Nothing was recorded between 1000000") as refused:
            labdata.spikes(lab.sorting, window_s=(1e6, 2e6))
        said.append(str(refused.value))
    assert said[0] == said[1]


def test_some_units_alone_are_not_kept(lab, folder):
    labdata.spikes(lab.sorting, units=[2])
    labdata.spikes(lab.sorting, window_s=(110.0, 130.0))
    assert not folder.exists()


def test_spike_times_of_the_guide_come_from_the_same_file(lab_rig, lab, folder, reads):
    lab_rig.prefer(spike_cache_gb=0)
    units = lab.SpikeSorting.Unit & lab.sorting
    plain = units.get_spike_times(extra_keys=["spike_amplitudes"])
    lab_rig.prefer(spike_cache_gb=20)
    reads.clear()
    for _ in range(2):
        same_rows(plain, units.get_spike_times(extra_keys=["spike_amplitudes"]))
    assert reads == [[2, 4, 7]]
    assert not list(folder.glob("*.labels"))  # which the guide's call has no use for
    same_rows(plain[1:2], (units & "unit_id = 4").get_spike_times(extra_keys=["spike_amplitudes"]))
    labdata.spikes(lab.sorting)
    assert len(reads) == 1


def same_rows(expected, found):
    assert len(expected) == len(found)
    for one, other in zip(expected, found, strict=True):
        assert list(one) == list(other)
        assert np.array_equal(one["spike_times"], other["spike_times"])
        assert {k: v for k, v in one.items() if k != "spike_times"} == {
            k: v for k, v in other.items() if k != "spike_times"
        }


# --- what is kept is never wrong -----------------------------------------------------------------


def test_a_unit_that_was_sorted_anew_is_read_anew(lab_rig, lab, reads):
    labdata.spikes(lab.sorting)
    moved = {**lab.sorting, "unit_id": 4, "spike_times": UNITS[4] + 1}
    lab.SpikeSorting.Unit.update1(moved)
    found = labdata.spikes(lab.sorting)
    assert len(reads) == 2
    assert found.load().identical(uncached(lab_rig, lab))


def test_a_unit_that_changes_while_it_is_read_is_named_and_nothing_kept(lab, folder, monkeypatch):
    original = spike_trains.read_trains

    def read(lab, sorting, heads):
        """As when unit 4 is sorted anew after its length was asked: as many spikes, others."""
        trains = list(original(lab, sorting, heads))
        return iter([trains[0], SpikeTrainCodec().encode(UNITS[4] + 1), trains[2]])

    with monkeypatch.context() as patch:
        patch.setattr(placed_sorting, "read_trains", read)
        with pytest.raises(QueryError, match="unit 4 changed"):
            labdata.spikes(lab.sorting)
    assert list(folder.iterdir()) == []
    assert labdata.spikes(lab.sorting).sizes["spike"] == 1500


def test_a_unit_that_came_or_went(lab_rig, lab):
    labdata.spikes(lab.sorting)
    lab.SpikeSorting.Unit.insert1({**lab.sorting, "unit_id": 5, "spike_times": np.arange(9)})
    assert labdata.spikes(lab.sorting).load().identical(uncached(lab_rig, lab))
    (lab.SpikeSorting.Unit & {"unit_id": 2}).delete_quick()
    assert labdata.spikes(lab.sorting).unit.values.tolist() == [4, 5, 7]
    assert labdata.spikes(lab.sorting).load().identical(uncached(lab_rig, lab))


def shift_pulses(lab):
    line = {**KEY, "stream_name": "nidq", "event_name": "7"}
    pulses = (lab.DatasetEvents.Digital & line).fetch1("event_timestamps")
    lab.DatasetEvents.Digital.update1(line | {"event_timestamps": pulses + 1.0})


def drop_sync(lab):
    (lab.StreamSync & KEY).delete_quick()


def follow_on(lab):
    add_stream(lab, KEY, "box", 1, 500.0)
    add_stream(lab, KEY | {"dataset_name": "more"}, "nidq", 7, 100.0)
    sync(lab, KEY, "nidq", "7", "box", "1")


def change_rate(lab):
    row = {**KEY, "probe_num": 0, "sampling_rate": 1000.1}
    lab.EphysRecording.ProbeSetting.update1(row)


@pytest.mark.parametrize("change", [shift_pulses, drop_sync, follow_on, change_rate])
@pytest.mark.filterwarnings("ignore::labdata.objects.UnsyncedWarning")
def test_another_clock_is_never_passed_over(lab_rig, lab, change):
    before = labdata.spikes(lab.sorting).load()
    change(lab)
    found = labdata.spikes(lab.sorting).load()
    assert not np.array_equal(before.spike_time, found.spike_time)
    plain = uncached(lab_rig, lab)
    assert found.identical(plain)


def test_other_code_for_clocks_is_never_passed_over(lab, reads, monkeypatch):
    labdata.spikes(lab.sorting)
    monkeypatch.setattr("labdata.schema.clock_inputs._digest_code", lambda: "newer")
    labdata.spikes(lab.sorting)
    assert len(reads) == 2


def test_the_digest_of_the_code_is_of_files_that_are_there():
    assert len(clock_inputs._digest_code()) == 64


def test_the_warning_of_times_without_a_clock_comes_every_time(lab):
    drop_sync(lab)
    for _ in range(2):
        with pytest.warns(UnsyncedWarning):
            assert labdata.spikes(lab.sorting).attrs["synced"] == 0


@pytest.mark.parametrize(
    ("ending", "place"), [("trains", 100), ("trains", -30), ("labels", 5), ("labels", -30)]
)
def test_a_flipped_bit_is_found_and_the_file_made_anew(
    lab_rig, lab, folder, ending, place, caplog
):
    plain = uncached(lab_rig, lab)
    labdata.spikes(lab.sorting)
    (file,) = folder.glob(f"*.{ending}")
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)
    with caplog.at_level(logging.WARNING):
        assert labdata.spikes(lab.sorting).load().identical(plain)
    assert "damaged" in caplog.text
    assert labdata.spikes(lab.sorting).load().identical(plain)


def test_a_file_is_compared_with_its_sums_once(lab, monkeypatch, folder):
    labdata.spikes(lab.sorting)
    calls = []
    monkeypatch.setattr(train_cache, "check_trains", calls.append)
    labdata.spikes(lab.sorting)
    assert calls == []  # it was written by this very computer since its start
    (note,) = folder.glob("*.trains.checked")
    facts = json.loads(note.read_text())
    note.write_text(json.dumps([*facts[:-1], "another start"]))
    for _ in range(2):
        labdata.spikes(lab.sorting)
    assert len(calls) == 1


# --- room ----------------------------------------------------------------------------------------


def test_a_full_disk_costs_the_copy_and_no_spike(lab_rig, lab, folder, monkeypatch, caplog):
    plain = uncached(lab_rig, lab)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with caplog.at_level(logging.WARNING):
        assert labdata.spikes(lab.sorting).load().identical(plain)
    assert "No space left" in caplog.text
    assert list(folder.iterdir()) == []


def test_a_killed_writer_leaves_no_file_of_that_name(lab, folder, run_child):
    def killed():
        placed_sorting.place_trains = lambda *a, **k: os.kill(os.getpid(), 9)
        labdata.spikes(lab.sorting)

    assert run_child(killed) == -9
    assert not list(folder.glob("*.trains"))
    (left,) = folder.glob("*.partial")
    os.utime(left, (1, 1))
    labdata.spikes(lab.sorting)
    assert not left.exists()


def test_what_was_not_used_for_longest_makes_room(lab_rig, lab, folder):
    other = add_sorting(lab, KEY | {"dataset_name": "second"}, 0, UNITS)
    with pytest.warns(UnsyncedWarning):
        labdata.spikes(other)
    (first,) = folder.glob("*.trains")
    lab_rig.prefer(spike_cache_gb=30_000e-9)
    labdata.spikes(lab.sorting)
    assert list(folder.glob("*.trains")) == [first]  # it was used just now, and stays
    note = first.with_name(first.name + ".checked")
    os.utime(note, (1, 1))
    labdata.spikes(lab.sorting)
    (second,) = folder.glob("*.trains")
    assert second != first
    assert not note.exists()


def test_more_than_the_limit_is_not_kept(lab_rig, lab, folder):
    lab_rig.prefer(spike_cache_gb=1e-6)
    labdata.spikes(lab.sorting)
    assert not list(folder.glob("*.trains"))


@pytest.mark.parametrize(("kind", "n_kept"), [("ext4", 1), ("nfs4", 0)])
def test_nothing_is_kept_on_a_share_where_others_may_remove_it(
    lab, folder, monkeypatch, kind, n_kept
):
    """A program ends when a file that it has mapped is removed on the server."""
    mounts = [Mount("/", "ext4", "rw"), Mount(str(folder.parents[1]), kind, "rw")]
    monkeypatch.setattr(train_cache, "list_mounts", lambda: mounts)
    monkeypatch.setattr(train_cache, "is_on_block_device", lambda path: False)
    labdata.spikes(lab.sorting)
    assert len(list(folder.glob("*.trains"))) == n_kept
