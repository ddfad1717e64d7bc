"""``clean``: a local file goes only if the store was just seen to hold what it holds."""

from __future__ import annotations

import os
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest

from labdata.errors import MissingObjectError, StoreError, UploadError
from labdata.rules import clean_plan, cleaning, removing
from labdata.rules.cleaning import clean, plan_clean
from labdata.rules.putting import plan_put
from labdata.stores import checksums
from labdata.stores.local import LocalStore
from labdata.stores.mounts import Mount
from labdata.stores.paths import leaving_name

SESSION = "20240305_100000"
TASK = f"JC1/{SESSION}/task"
FILES = {"a.csv": b"1,2\n", "b.bin": os.urandom(90_000)}


@pytest.fixture
def stored(lab_rig):
    """A task's files on the rig, in the inbox and in the store."""
    lab_rig.upload(lab_rig.put(lab_rig.folder(TASK, FILES)))
    return lab_rig


def kept(done):
    """Why each file was kept, by its place and name."""
    return {f"{one.path.parts[-5]}/{one.path.name}": one.kept for one in done}


def listing(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def local_files(rig):
    found = [*rig.rig.rglob("*"), *rig.server.rglob("*")]
    return sorted(f"{p.relative_to(rig.home)}" for p in found if p.is_file())


def test_what_the_store_holds_goes_with_its_empty_folders(stored):
    objects = {p: p.read_bytes() for p in stored.store.rglob("*") if p.is_file()}
    other = stored.folder("JC1/notes", {"todo.txt": b"x"})
    done = clean(plan_clean())
    assert {one.path.name: one.kept for one in done if one.kept} == {
        "todo.txt": "not in the database"
    }
    assert sum(one.size_bytes for one in done if not one.kept) == 2 * sum(map(len, FILES.values()))
    assert local_files(stored) == ["rig/JC1/notes/todo.txt"]
    assert not (stored.rig / "JC1" / SESSION).exists()
    assert stored.rig.is_dir() and stored.server.is_dir() and other.is_dir()
    assert {p: p.read_bytes() for p in stored.store.rglob("*") if p.is_file()} == objects
    assert plan_clean()[0].kept  # again: nothing to do
    paths = stored.lab.File().get()
    assert {p.name: p.read_bytes() for p in paths} == FILES


def test_a_dry_run_decides_the_same_and_removes_nothing(stored):
    before = local_files(stored)
    dry = clean(plan_clean(), dry_run=True)
    assert local_files(stored) == before
    assert kept(dry) == kept(clean(plan_clean()))


def object_of(rig, name="b.bin"):
    return rig.store / TASK / name


def truncate(path):
    os.truncate(path, 10)


def flip(path):
    content = bytearray(path.read_bytes())
    content[77] ^= 8
    path.write_bytes(content)


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (Path.unlink, "missing in the store; `labdata verify --everything --store data --repair`"),
        (truncate, "the store has 10 bytes of it, 90000 were recorded; `labdata verify"),
        (flip, "the store has other content under its path; `labdata verify --everything"),
    ],
)
def test_fault_03_what_the_store_lacks_stays(stored, harm, words, quick):
    harm(object_of(stored))
    done = clean(plan_clean(), quick=quick)
    assert [words in one.kept for one in done if one.path.name == "b.bin"] == [True, True]
    assert local_files(stored) == [f"{place}/{TASK}/b.bin" for place in ("rig", "server")]


def test_a_store_that_is_away_confirms_nothing(stored):
    stored.store.rename(stored.store.with_name("unplugged"))
    stored.prefer(storage={"data": {"protocol": "local", "path": str(stored.home / "gone")}})
    done = clean(plan_clean())
    assert all(one.kept.startswith("cannot tell") for one in done)
    assert len(local_files(stored)) == 4


def test_a_local_file_that_differs_stays(stored):
    flip(stored.rig / TASK / "b.bin")
    truncate(stored.server / TASK / "b.bin")
    reasons = kept(clean(plan_clean()))
    assert reasons["rig/b.bin"] == "differs from what was recorded"
    assert reasons["server/b.bin"] == "has 10 bytes, 90000 were recorded"
    assert (stored.rig / TASK / "b.bin").exists() and (stored.server / TASK / "b.bin").exists()


def test_a_file_that_changes_while_it_is_confirmed_stays(stored, monkeypatch):
    real = LocalStore.stat

    def stat(self, path, **options):
        for place in (stored.rig, stored.server):
            with (place / path).open("ab") as file:
                file.write(b"more")
        return real(self, path, **options)

    monkeypatch.setattr(LocalStore, "stat", stat)
    done = clean(plan_clean(names=["b.bin"]))
    # the second copy is looked at after it has changed
    assert {one.kept for one in done} <= {
        "changed while it was looked at",
        "differs from what was recorded",
    }
    assert len(local_files(stored)) == 4


def test_a_file_that_another_clean_removed_is_said_to_be_gone(stored, monkeypatch):
    """Also if it goes at the last moment; no row of the report has a path of its own then."""
    planned = plan_clean()
    (stored.rig / TASK / "b.bin").unlink()
    real = removing.remove_apart

    def too_late(path, *others):
        path.unlink()
        return real(path, *others)

    monkeypatch.setattr(cleaning, "remove_apart", too_late)
    assert {one.kept for one in clean(planned)} == {"gone meanwhile; another program removed it"}


def test_the_stored_object_itself_is_never_removed(stored):
    """A local path that leads into the store, as on a server where they are one disk."""
    stored.prefer(local_paths=[str(stored.store), str(stored.rig)], upload_path=None)
    done = clean(plan_clean())
    reasons = {one.path: one.kept for one in done}
    assert reasons[object_of(stored)] == "is the stored object itself"
    assert object_of(stored).exists()
    assert not (stored.rig / TASK / "b.bin").exists()


@pytest.fixture
def mounted_twice(stored, monkeypatch):
    """The store as a local path of another mount: nothing about a file tells that it is one."""
    stored.prefer(local_paths=[str(stored.store), str(stored.rig)], upload_path=None)
    monkeypatch.setattr(Path, "samefile", lambda self, other: False)
    return stored


@pytest.mark.parametrize("probed", [True, False])
def test_an_object_seen_through_another_mount_is_not_removed(mounted_twice, monkeypatch, probed):
    """Where a mount shows new files late, the file's other name still tells."""
    if not probed:
        monkeypatch.setattr(cleaning, "is_object", lambda *_: False)
    before = listing(mounted_twice.store)
    reasons = {one.path: one.kept for one in clean(plan_clean())}
    assert reasons[object_of(mounted_twice)] == "is the stored object itself"
    assert listing(mounted_twice.store) == before
    assert local_files(mounted_twice) == [f"server/{TASK}/{name}" for name in FILES]


def test_a_dry_run_knows_an_object_seen_through_another_mount(mounted_twice):
    reasons = {one.path: one.kept for one in clean(plan_clean(), dry_run=True)}
    assert reasons[object_of(mounted_twice)] == "is the stored object itself"


def test_a_file_with_objects_in_two_stores_is_neither_of_them(stored):
    """The local path leads into the second store, and the first one has it, too."""
    (row,) = (stored.lab.File & {"file_path": f"{TASK}/b.bin"}).fetch(as_dict=True)
    other = stored.home / "labdata" / "other"
    shutil.copytree(stored.store, other)
    stores = {
        name: {"protocol": "local", "path": str(path)}
        for name, path in (("data", stored.store), ("zz", other), ("aa", other))
    }
    stored.prefer(storage=stores, local_paths=[str(other)], upload_path=None)
    for name in ("aa", "zz"):  # whichever row is found last
        stored.lab.File.insert1(row | {"storage": name})
    done = clean(plan_clean(names=["b.bin"]))
    assert [one.kept for one in done] == ["is the stored object itself"]
    assert (other / TASK / "b.bin").read_bytes() == FILES["b.bin"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, StoreError("away"), OSError(5, "bad disk")])
def test_a_file_keeps_its_name_if_it_cannot_be_removed(stored, monkeypatch, error):
    def fail(*_):
        raise error

    before = local_files(stored)
    monkeypatch.setattr(cleaning, "remove_apart", between(fail))
    with suppress(KeyboardInterrupt):
        assert all(one.kept for one in clean(plan_clean(names=["b.bin"])))
    assert local_files(stored) == before


def between(act):
    """Do something while a file bears the other name, where the store is asked."""

    class Asked:
        stat = act

    return lambda path, file_path, _: removing.remove_apart(path, file_path, [Asked()])


def test_what_a_killed_clean_left_under_another_name_is_cleaned_or_gets_its_own(stored):
    path = stored.rig / TASK / "b.bin"
    aside = path.with_name(leaving_name("b.bin"))
    chosen = {"keys": [{"subject_name": "JC1"}], "names": ["b.bin"]}
    path.rename(aside)
    clean(plan_clean(**chosen), dry_run=True)
    assert aside.exists()
    clean(plan_clean(**chosen, older_than_days=1))
    assert path.read_bytes() == FILES["b.bin"] and not aside.exists()
    # never over another file of the name
    aside.write_bytes(b"other")
    kept = {one.path: one.kept for one in clean(plan_clean(**chosen, older_than_days=1))}
    assert kept[aside] == "b.bin is there, too"
    # one that was fetched again meanwhile is there once, and goes
    aside.write_bytes(FILES["b.bin"])
    clean(plan_clean(**chosen))
    assert not path.exists() and not aside.exists()
    other = stored.folder("JC1/notes", {leaving_name("x"): b"the user's own"})
    clean(plan_clean())
    assert len(list(other.iterdir())) == 1


def test_what_a_killed_clean_left_is_not_put(stored):
    stored.folder("JC1/20240306_100000/task", {leaving_name("b.bin"): b"1"})
    with pytest.raises(UploadError, match="`labdata clean` that was interrupted"):
        plan_put(stored.rig / "JC1/20240306_100000/task")


def test_what_waits_for_its_upload_stays(lab_rig):
    lab_rig.put(lab_rig.folder(TASK, FILES))
    done = clean(plan_clean())
    assert {one.kept for one in done} == {"not in the database"}
    assert len(local_files(lab_rig)) == 4


# --- originals of compressed recordings ----------------------------------------------------------


@pytest.fixture
def recorded(lab_rig, small_run):
    lab_rig.upload(lab_rig.put(lab_rig.record(small_run.run_folder)))
    return lab_rig


def bands(rig, where="rig"):
    return sorted((rig.home / where).rglob("*.ap.bin"))


def test_an_original_goes_when_its_compressed_form_says_it_was_made_of_it(recorded, small_run):
    done = clean(plan_clean(only_processed=True))
    assert bands(recorded) == bands(recorded, "server") == []
    assert sum(not one.kept for one in done) == 2
    assert list(recorded.rig.rglob("*.nidq.bin")), "it is no original of a compressed file"
    opened = recorded.lab.EphysRecording.ProbeSetting().open()
    (original,) = Path(small_run.run_folder).rglob("*.ap.bin")
    assert opened.samples[:].tobytes() == original.read_bytes()


def test_an_original_stays_if_the_compressed_file_is_of_another(recorded):
    """The object is whole by its checksum, and yet was not made of these bytes."""
    (path,) = recorded.store.rglob("*.ap.zarr.zip")
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    sha256 = checksums.hash_file(bands(recorded)[0]).sha256.encode()
    entries[".zattrs"] = entries[".zattrs"].replace(sha256, b"0" * 64)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    found = checksums.hash_file(path)
    recorded.lab.connection.query(
        f"UPDATE {recorded.lab.File.full_table_name} SET file_sha256=%s, file_size=%s "
        "WHERE file_path LIKE '%%.zarr.zip'",
        (found.sha256, found.size_bytes),
    )
    done = clean(plan_clean(only_processed=True))
    assert {one.kept for one in done if one.path.suffix == ".bin" and ".ap" in one.path.name} == {
        f"{path.name} was not made of it"
    }
    assert len(bands(recorded)) == 1


def test_an_original_stays_if_the_compressed_file_is_damaged_or_gone(recorded):
    (path,) = recorded.store.rglob("*.ap.zarr.zip")
    flip(path)
    assert all(one.kept for one in clean(plan_clean(only_processed=True)))
    path.unlink()
    assert all(one.kept for one in clean(plan_clean(only_processed=True)))
    connection = recorded.lab.connection
    connection.query("SET FOREIGN_KEY_CHECKS=0")
    connection.query(
        f"DELETE FROM {recorded.lab.File.full_table_name} WHERE file_path LIKE '%%.zarr.zip'"
    )
    connection.query("SET FOREIGN_KEY_CHECKS=1")
    reasons = {one.kept for one in plan_clean(only_processed=True) if one.path in bands(recorded)}
    assert reasons == {"no stored file is known to hold it"}
    assert len(bands(recorded)) == 1


# --- what is chosen, and the command -------------------------------------------------------------


def test_by_subject_name_age_and_amount(stored):
    stored.upload(stored.put(stored.folder("JC2/20240306_100000/task", {"c.bin": b"c" * 50})))
    for days, path in enumerate(sorted(stored.rig.rglob("*.*"))):
        then = path.stat().st_mtime - 86400 * (days + 1)
        os.utime(path, (then, then))
    by_subject = plan_clean(keys=[{"subject_name": "JC2"}])
    assert {one.path.name for one in by_subject} == {"c.bin"}
    assert {one.path.name for one in plan_clean(names=["/task/b"])} == {"b.bin"}
    old = [one for one in plan_clean(older_than_days=1.5) if not one.kept]
    assert {str(one.path.relative_to(stored.home)) for one in old} == {
        f"rig/{TASK}/b.bin",
        "rig/JC2/20240306_100000/task/c.bin",
    }
    freed = [one for one in clean(plan_clean(), free_bytes=60) if not one.kept]
    # the oldest first, and no more once enough is free
    assert [one.path.name for one in freed] == ["b.bin", "c.bin"]


def test_a_file_dated_in_the_future_goes_unless_its_age_is_asked_for(stored):
    """As of a rig whose clock was wrong."""
    path = stored.rig / TASK / "b.bin"
    os.utime(path, (4e9, 4e9))
    kept = {one.path: one.kept for one in plan_clean(names=["b.bin"], older_than_days=1)}
    assert kept[path] == "dated in the future, so its age is not known"
    assert kept[stored.server / TASK / "b.bin"] == "younger than 1 day"
    clean(plan_clean(names=["b.bin"]))
    assert not path.exists()


def test_the_command_reports_what_it_did_and_why_not(stored, typed, told):
    stored.folder("JC1/notes", {"todo.txt": b"x"})
    said = typed("clean", "--dry-run")
    assert "4  " in said.out and "would be removed" in said.out
    assert "kept: not in the database" in said.out
    assert "175.8 KiB in 4 files would be free" in said.err
    rows = told("clean", "-f", "b.bin")
    assert [row["removed"] for row in rows] == [True, True]
    listed = typed("clean", "--list").out
    assert str(stored.rig / TASK / "a.csv") in listed and "removed" in listed
    assert local_files(stored) == ["rig/JC1/notes/todo.txt"]
    assert "no subject 'JC9'" in typed("clean", "-a", "JC9", code=1).err
    assert "negative" in typed("clean", "--older-than", "-1", code=1).err
    assert "no number" in typed("clean", "--free", "nan", code=1).err
    assert "part of every path" in typed("clean", "-f", "b.bin", "", code=1).err
    assert "need the subject" in typed("clean", "-s", SESSION, code=1).err


def test_leftovers_of_killed_copies_go_too(stored, typed):
    left = stored.server / TASK / ".labdata-partial-1-abc"
    left.write_bytes(b"half")
    typed("clean")
    assert left.exists(), "its writer may live"
    kept = {one.path: one.kept for one in plan_clean()}
    assert "unfinished copy" in kept[left]
    shutil.rmtree(stored.server / TASK)


def test_a_missing_object_is_not_an_unreachable_one(stored):
    object_of(stored).unlink()
    with pytest.raises(MissingObjectError):
        LocalStore(stored.store).stat(f"{TASK}/b.bin")
    assert cleaning.plan_clean(folders=[stored.home / "cache"]) == []


@pytest.mark.skipif(os.name != "posix", reason="names of files are bytes on POSIX only")
def test_a_file_whose_name_is_no_text_stays_and_stops_nothing(stored, typed):
    odd = stored.rig / TASK / os.fsdecode(b"caf\xe9.txt")
    odd.write_bytes(b"x")
    said = typed("clean", "--list")
    assert "caf\\udce9.txt" in said.out and "not in the database" in said.out
    assert "4 files is free" in said.err
    assert odd.exists()


def test_a_share_whose_store_is_a_folder_is_freed(stored, monkeypatch):
    """Whether a file there is the stored object is seen in the folder itself."""
    monkeypatch.setattr(clean_plan, "list_mounts", lambda: [Mount("/", "nfs4", "rw")])
    assert not any(one.kept for one in clean(plan_clean(names=["b.bin"])))
    assert not (stored.rig / TASK / "b.bin").exists()


def test_an_inbox_within_a_local_path_is_freed_too(lab_rig):
    """Its files have their paths from the inbox on, not from the folder around it."""
    inbox = lab_rig.rig / "inbox"
    inbox.mkdir()
    lab_rig.prefer(upload_path=str(inbox))
    lab_rig.upload(lab_rig.put(lab_rig.folder(TASK, FILES)))
    assert sorted(p.name for p in inbox.rglob("*.*")) == sorted(FILES)
    done = clean(plan_clean())
    assert [one.kept for one in done] == [""] * 4
    assert not [p for p in lab_rig.rig.rglob("*") if p.is_file()] and inbox.is_dir()
