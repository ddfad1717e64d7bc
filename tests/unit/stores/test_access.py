"""The access check must notice a store that breaks its promises, not only one that refuses."""

import pytest

from labdata.errors import StoreError
from labdata.stores import LocalStore


class Broken(LocalStore):
    """A store with one fault."""

    def __init__(self, root, fault):
        super().__init__(root)
        self._fault = fault

    def put(self, source, object_path, **options):
        if self._fault == "write":
            raise StoreError("403 Forbidden.", hint="Ask for s3:PutObject.")
        if self._fault == "keep" and self.exists(object_path):
            super().delete(object_path)
        return super().put(source, object_path, **options)

    def open_range(self, object_path, **options):
        if self._fault == "read":
            (self.root / object_path).write_bytes(bytes(64))
        return super().open_range(object_path, **options)

    def list(self, folder=""):
        return iter(()) if self._fault == "list" else super().list(folder)

    def delete(self, object_path):
        if self._fault != "delete":
            super().delete(object_path)


@pytest.mark.parametrize("fault", ["write", "keep", "list", "delete"])
def test_each_fault_is_found_by_its_step(tmp_path, fault):
    report = Broken(tmp_path, fault).check_access()
    assert not report.ok
    assert [step.name for step in report.steps if not step.ok] == [fault]
    assert fault in str(report)


def test_other_bytes_read_back_are_found(tmp_path):
    report = Broken(tmp_path, "read").check_access()
    assert "read" in [step.name for step in report.steps if not step.ok]


def test_what_to_do_is_part_of_the_report(tmp_path):
    step = Broken(tmp_path, "write").check_access().steps[0]
    assert "403" in step.message
    assert "s3:PutObject" in step.hint


def test_a_usable_store_says_so(store):
    report = store.check_access()
    assert str(report).startswith(f"folder {store.root}: usable (")
    assert 0 <= report.duration_s < 60
