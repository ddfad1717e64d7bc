"""Plugins: a lab's own tables, upload rules, analyses and dashboards, without a change to labdata.

A plugin is a Python module. It is found as an installed package, by the entry point group
``labdata.plugins``, or as a folder named in the preference file::

    "plugins": {"licks": "~/code/licks", "wheel@vision,attention": "~/code/wheel"}

(the second only in two projects). What it adds stands in it by these names, all optional:

- tables: classes of :class:`Manual`, :class:`Lookup`, :class:`Imported` or :class:`Computed` with
  the decorator :func:`plugin_table`; they live in the schema ``<name>_<project>_user`` and are
  ``lab.Lick`` beside labdata's own;
- ``UPLOAD_RULES``, ``ANALYSES``: name to class;
- ``DASHBOARDS``: name to the path of a notebook.

A plugin that cannot be loaded is named, with the reason, and skipped; the rest works.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from .errors import LabdataError, PreferenceError

logger = logging.getLogger(__name__)
_T = TypeVar("_T", bound=type)

#: Names that labdata itself has are not a plugin's to take.
_CONTRIBUTIONS = ("UPLOAD_RULES", "ANALYSES", "DASHBOARDS")
_NAMED_AGAIN = "The plugin %r names %r in %s again; that of %s counts."


@dataclass
class Plugin:
    """One plugin.

    Attributes
    ----------
    name : str
        As the preference file or the entry point names it.
    source : str
        Its folder or package.
    projects : tuple of str or None
        Where it counts; None stands for everywhere.
    module : module or None
        None if it could not be loaded.
    tables : list of type
        Tables that it declares.
    error : str or None
        Why it is skipped.
    """

    name: str
    source: str
    projects: tuple[str, ...] | None = None
    module: ModuleType | None = None
    tables: list[type] = field(default_factory=list)
    error: str | None = None

    def counts_in(self, project: str | None) -> bool:
        """Return whether the plugin is of a project.

        Parameters
        ----------
        project : str or None
            The project in use.
        """
        return self.module is not None and (self.projects is None or project in self.projects)

    def skip(self, reason: str) -> None:
        """Record why the plugin, or its tables, cannot be used, and say so.

        Parameters
        ----------
        reason : str
            What went wrong.
        """
        self.error = reason
        logger.warning("The plugin %r (%s) is skipped: %s", self.name, self.source, reason)


_lock = threading.RLock()
_loaded: list[Plugin] | None = None
_collecting: list[type] = []


def plugin_table(cls: _T) -> _T:
    """Make a class a table of the plugin that declares it.

    Parameters
    ----------
    cls : type
        Of :class:`Manual`, :class:`Lookup`, :class:`Imported` or :class:`Computed`.

    Returns
    -------
    type
        The same class.

    Examples
    --------
    >>> @plugin_table  # doctest: +SKIP
    ... class Lick(Manual):
    ...     '''Licks of a session.'''
    ...     definition = '''
    ...     -> Dataset
    ...     ---
    ...     lick_times : <array>    # s
    ...     '''
    """
    from .database.projects import default_lab
    from .database.tables import set_lab

    set_lab(cls, default_lab)
    _collecting.append(cls)
    return cls


def load_plugins() -> list[Plugin]:
    """Return all plugins, loaded at the first call; those with an error are not used."""
    global _loaded
    with _lock:
        if _loaded is None:
            _loaded = []  # a plugin that uses labdata while it is loaded finds none
            _loaded = list(_load_all())
        return _loaded


def forget_plugins() -> None:
    """Load the plugins anew at the next use, as after a change of the preferences."""
    global _loaded
    with _lock:
        _loaded = None


def contributions(kind: str, project: str | None = None) -> dict[str, Any]:
    """Return what the plugins add of one kind, by name.

    Parameters
    ----------
    kind : {"UPLOAD_RULES", "ANALYSES", "DASHBOARDS"}
        What is looked for.
    project : str, optional
        Only of the plugins of this project; of all by default.
    """
    found: dict[str, Any] = {}
    first: dict[str, Plugin] = {}
    for plugin in load_plugins():
        if plugin.module is None or (project is not None and not plugin.counts_in(project)):
            continue
        for name, value in getattr(plugin.module, kind, {}).items():
            if name in found:
                logger.warning(
                    _NAMED_AGAIN, plugin.name, name, kind, f"plugin {first[name].name!r}"
                )
            else:
                found[name], first[name] = value, plugin
    return found


def doubled_names(taken: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    """Return, by plugin, what it names that somebody else has named before, in words.

    Parameters
    ----------
    taken : mapping
        Names that are labdata's own, by kind: ``{"UPLOAD_RULES": ["ephys", "none"]}``.
    """
    doubled: dict[str, list[str]] = {}
    for kind in _CONTRIBUTIONS:
        owners = dict.fromkeys(taken.get(kind, ()), "labdata")
        for plugin in load_plugins():
            for name in getattr(plugin.module, kind, {}):
                owner = owners.setdefault(name, f"plugin {plugin.name!r}")
                if owner != f"plugin {plugin.name!r}":
                    said = _NAMED_AGAIN % (plugin.name, name, kind, owner)
                    doubled.setdefault(plugin.name, []).append(said)
    return doubled


def _load_all() -> Iterator[Plugin]:
    from importlib.metadata import entry_points

    from .preferences import load_preferences

    for entry in entry_points(group="labdata.plugins"):
        yield _load(Plugin(entry.name, entry.value), entry.load)
    for written, folder in load_preferences().plugins.items():
        name, _, projects = written.partition("@")
        path = Path(folder).expanduser()
        only = tuple(p.strip() for p in projects.split(",") if p.strip()) or None
        plugin = Plugin(name, str(path), only)
        yield _load(plugin, lambda name=name, path=path: _import_folder(name, path))


def _load(plugin: Plugin, load: Any) -> Plugin:
    """Import a plugin; whatever it raises, it is the plugin's fault and not the user's."""
    _collecting.clear()
    try:
        module = load()
        _check(module)
    except Exception as error:
        plugin.skip(f"{type(error).__name__}: {error}")
    else:
        plugin.module, plugin.tables = module, list(_collecting)
    finally:
        _collecting.clear()
    return plugin


def _import_folder(name: str, folder: Path) -> ModuleType:
    start = folder / "__init__.py"
    if not name.isidentifier():
        raise PreferenceError(f"{name!r} cannot be the name of a plugin: use letters, digits, _.")
    if not start.is_file():
        raise PreferenceError(f"There is no {start}.", hint="A plugin's folder is a package.")
    full_name = f"labdata_plugin_{name}"
    spec = importlib.util.spec_from_file_location(
        full_name, start, submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[full_name] = module
    is_whole = False
    try:
        spec.loader.exec_module(module)
        is_whole = True
    finally:
        if not is_whole:
            del sys.modules[full_name]
    return module


def _check(module: ModuleType) -> None:
    for kind in _CONTRIBUTIONS:
        value = getattr(module, kind, {})
        if not isinstance(value, Mapping):
            raise LabdataError(f"{kind} is a {type(value).__name__}, not a dict of names.")


def __getattr__(name: str) -> Any:
    """Offer the kinds of tables without importing DataJoint with this module."""
    if name in ("Manual", "Lookup", "Imported", "Computed", "Part"):
        from .database import tables

        return getattr(tables, name)
    for plugin in load_plugins():
        if plugin.name == name and plugin.module is not None:
            return plugin.module
    raise AttributeError(f"There is no plugin {name!r}.")
