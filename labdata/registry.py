"""Names of what labdata can be extended by, looked up and never run as code.

Rules and analyses come with labdata or with an installed package, which names them by an entry
point. A name from the database or a command line is compared with those, nothing more.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from .errors import LabdataError


@dataclass(frozen=True)
class Registry:
    """One kind of extension.

    Attributes
    ----------
    noun : str
        What one is called, for the error.
    group : str
        The entry point's group.
    built_in : mapping of str to str
        Those of labdata itself: name to ``module:class``. They cannot be replaced.
    error : type
        What is raised for an unknown name.
    contributed : str
        What plugins call their own: ``UPLOAD_RULES``.
    """

    noun: str
    group: str
    built_in: Mapping[str, str]
    error: type[LabdataError]
    contributed: str = ""

    def names(self) -> list[str]:
        """Return all names, those of labdata first."""
        installed = [entry.name for entry in entry_points(group=self.group)]
        return list(dict.fromkeys([*self.built_in, *installed, *self._of_plugins()]))

    def _of_plugins(self) -> dict[str, Any]:
        from .plugins import contributions

        return contributions(self.contributed) if self.contributed else {}

    def make(self, name: str) -> Any:
        """Return a new instance of what a name stands for.

        Parameters
        ----------
        name : str
            As the user gave it.

        Raises
        ------
        LabdataError
            Of the registry's kind, if there is none of that name; it names those there are.
        """
        if name in self.built_in:
            module, _, cls = self.built_in[name].partition(":")
            return getattr(importlib.import_module(module), cls)()
        for entry in entry_points(group=self.group):
            if entry.name == name:
                return entry.load()()
        added = self._of_plugins()
        if name in added:
            return added[name]()
        raise self.error(
            f"There is no {self.noun} {name!r}.", hint=f"There are: {', '.join(self.names())}."
        )
