import posixpath
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labdata.errors import StoreError
from labdata.stores import resolve_inside, validate_object_path
from labdata.stores.paths import MAX_PART_BYTES, MAX_PATH_BYTES


@pytest.mark.parametrize(
    "path,reason",
    [
        ("", "is empty"),
        ("/a", "is absolute"),
        ("//host/share/a", "is absolute"),
        ("c:/a", "is absolute"),
        ("c:a", "is absolute"),
        ("a\\..\\b", "backslash"),
        ("a/../b", "'..'"),
        ("..", "'..'"),
        ("a/./b", "'.'"),
        ("a//b", "empty part"),
        ("a/", "empty part"),
        ("a\0", "control character"),
        ("a\r\nb", "control character"),
        ("a\x7f", "control character"),
        ("\ud800", "not valid Unicode"),
        ("é" * 128, "longer than 255 bytes"),
        ("a/" * 512 + "b", "longer than 1024 bytes"),
        ("a/.labdata-partial-12-ab", "names kept for labdata"),
        (".labdata-store", "names kept for labdata"),
        (b"a", "is not text"),
        (None, "is not text"),
    ],
)
def test_what_is_wrong_with_a_path_is_said(path, reason):
    with pytest.raises(StoreError) as caught:
        validate_object_path(path)
    assert reason in caught.value.message
    assert repr(path) in caught.value.message
    assert "relative" in caught.value.hint


def test_the_longest_paths_pass():
    longest = "/".join(["a" * MAX_PART_BYTES] * 4)
    assert len(longest) == MAX_PATH_BYTES - 1
    assert validate_object_path(longest) == longest
    assert validate_object_path(longest[:-10] + "/" + "b" * 10)


@given(st.text(alphabet="ab./\\:~ \0é" + string.digits, max_size=12))
def test_a_path_that_passes_stays_below_any_root(path):
    """The oracle is the operating system's own path arithmetic."""
    root = "/data/lab"
    try:
        validate_object_path(path)
    except StoreError:
        return
    joined = posixpath.join(root, path)
    assert posixpath.normpath(joined) == joined
    assert joined.startswith(root + "/")


def test_resolve_inside_gives_the_real_path(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "link").symlink_to("root")
    expected = tmp_path.resolve() / "root" / "a" / "b"
    assert resolve_inside(tmp_path / "root", "a/b") == expected
    assert resolve_inside(tmp_path / "link", "a/b") == expected


def test_fault_26_a_path_with_the_name_of_the_root_in_it_is_kept_whole(tmp_path):
    """Paths used to be cut by text replacement, wherever the root's text occurred."""
    relative = f"x{tmp_path}/y"
    assert resolve_inside(tmp_path, relative) == tmp_path.resolve() / relative


@pytest.mark.parametrize("target", ["../outside", "/etc", ".."])
def test_fault_36_a_symbolic_link_out_of_the_root_is_refused(tmp_path, target):
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside").mkdir()
    (root / "link").symlink_to(target)
    for relative in ("link", "link/secret"):
        with pytest.raises(StoreError, match="leaves"):
            resolve_inside(root, relative)


def test_a_link_to_a_sibling_whose_name_starts_like_the_root_is_refused(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root-2").mkdir()
    (tmp_path / "root" / "link").symlink_to("../root-2")
    with pytest.raises(StoreError, match="leaves"):
        resolve_inside(tmp_path / "root", "link/a")


def test_a_link_inside_the_root_is_followed(tmp_path):
    (tmp_path / "JC1").mkdir()
    (tmp_path / "alias").symlink_to("JC1")
    assert resolve_inside(tmp_path, "alias/a") == tmp_path.resolve() / "JC1" / "a"


def test_a_link_to_the_root_itself_names_no_object(tmp_path):
    (tmp_path / "self").symlink_to(".")
    with pytest.raises(StoreError, match="leaves"):
        resolve_inside(tmp_path, "self")
