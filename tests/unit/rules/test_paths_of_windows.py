"""Paths of a rig on Windows become those of the database; Windows itself is not needed to tell."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest

from labdata.errors import UploadError
from labdata.rules.checks import relative_path


@pytest.mark.parametrize(
    ("path", "root"),
    [
        (r"D:\data\JC1\20240305_100000\ephys_g0\a.bin", r"D:\data"),
        (r"d:\Data\JC1\20240305_100000\ephys_g0\a.bin", r"D:\data"),
        (r"\\nas\lab\data\JC1\20240305_100000\ephys_g0\a.bin", r"\\nas\lab\data"),
        (r"D:/data/JC1/20240305_100000\ephys_g0\a.bin", "D:\\data\\"),
    ],
)
def test_with_slashes_and_without_the_drive(path: str, root: str) -> None:
    found = relative_path(PureWindowsPath(path), PureWindowsPath(root))
    assert found == "JC1/20240305_100000/ephys_g0/a.bin"


@pytest.mark.parametrize(
    ("path", "root"), [(r"E:\data\a.bin", r"D:\data"), (r"D:\data2\a.bin", r"D:\data")]
)
def test_outside_the_root(path: str, root: str) -> None:
    with pytest.raises(UploadError, match="is not inside"):
        relative_path(PureWindowsPath(path), PureWindowsPath(root))


def test_on_other_systems_as_well() -> None:
    assert relative_path(PurePosixPath("/a/b/c"), PurePosixPath("/a")) == "b/c"
