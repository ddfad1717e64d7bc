"""Arrays, records and tables that SpikeInterface saved, by their names: in a folder or in a zarr.

Nothing that is pickled is opened: a pickle runs what it holds.
"""

from __future__ import annotations

import csv
import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError


class SavedTree(ABC):
    """What both ways of saving have in common; what is not there is None or empty.

    Attributes
    ----------
    path : Path
        Where it is.
    """

    path: Path

    @abstractmethod
    def array(self, name: str) -> NDArray[Any] | None:
        """Return an array of numbers or texts; None also for one of Python objects.

        Parameters
        ----------
        name : str
            For instance ``extensions/templates/average``.
        """

    @abstractmethod
    def record(self, name: str) -> dict[str, Any]:
        """Return an object of JSON.

        Parameters
        ----------
        name : str
            For instance ``extensions/templates/params``.
        """

    @abstractmethod
    def table(self, name: str) -> dict[str, list[Any]]:
        """Return the columns of a table, ``index`` among them.

        Parameters
        ----------
        name : str
            For instance ``extensions/quality_metrics/metrics``.
        """

    @abstractmethod
    def names(self, name: str) -> list[str]:
        """Return the names of the arrays in a group.

        Parameters
        ----------
        name : str
            For instance ``sorting/properties``.
        """


def open_tree(path: Path) -> SavedTree:
    """Return what was saved, in whichever way, to be read.

    Parameters
    ----------
    path : Path
        A folder, or a zarr.
    """
    return _ZarrTree(path) if (path / ".zgroup").is_file() else _FolderTree(path)


class _FolderTree(SavedTree):
    def __init__(self, path: Path) -> None:
        self.path = path

    def array(self, name: str) -> NDArray[Any] | None:
        path = self.path / f"{name}.npy"
        if not path.is_file():
            return None
        try:
            loaded: NDArray[Any] = np.load(path, allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            if str(error).startswith("Object arrays"):
                return None  # Python objects are not opened
            raise FormatError(f"{path} cannot be read: {error}.") from None
        return loaded

    def record(self, name: str) -> dict[str, Any]:
        path = self.path / f"{name}.json"
        if not path.is_file():
            return {}
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise FormatError(f"{path} cannot be read: {error}.") from None
        return content if isinstance(content, dict) else {}

    def table(self, name: str) -> dict[str, list[Any]]:
        path = self.path / f"{name}.csv"
        if not path.is_file():
            return {}
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
        columns = list(rows[0]) if rows else []
        # the column of unit names has no heading
        return {column or "index": [row[column] for row in rows] for column in columns}

    def names(self, name: str) -> list[str]:
        return sorted(path.stem for path in (self.path / name).glob("*.npy"))


class _ZarrTree(SavedTree):
    def __init__(self, path: Path) -> None:
        import zarr

        self.path = path
        self._root = zarr.open(str(path), mode="r")

    def array(self, name: str) -> NDArray[Any] | None:
        import zarr

        found = self._root.get(name)
        if not isinstance(found, zarr.Array) or found.dtype.kind == "O":
            return None  # Python objects are not opened
        content: NDArray[Any] = found[...]
        return content

    def record(self, name: str) -> dict[str, Any]:
        parent, _, last = name.rpartition("/")
        group = self._root if not parent else self._root.get(parent)
        content = {} if group is None else group.attrs.get(last)
        if content is None and name in self._root:
            content = dict(self._root[name].attrs)
        return content if isinstance(content, dict) else {}

    def table(self, name: str) -> dict[str, list[Any]]:
        columns = {column: self.array(f"{name}/{column}") for column in self.names(name)}
        return {column: list(values) for column, values in columns.items() if values is not None}

    def names(self, name: str) -> list[str]:
        group = self._root.get(name)
        return [] if group is None else sorted(group.array_keys())
