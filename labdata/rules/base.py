"""What an upload rule is, and how rules are found.

A rule is stateless and never touches a store or a job: it looks at files (``check``), writes what
should be stored into a staging folder (``apply``) and inserts its rows (``insert``) inside the
transaction of its caller. So every rule inherits the same safety. Rules are found by the entry
point ``labdata.rules``; the ones of labdata itself are always there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from ..errors import RuleError
from ..progress import Progress
from ..registry import Registry

_RULES = Registry(
    "upload rule",
    "labdata.rules",
    {"none": "labdata.rules.plain:PlainRule", "ephys": "labdata.rules.ephys:EphysRule"},
    RuleError,
    "UPLOAD_RULES",
)


def own_rules() -> list[str]:
    """Return the names of the upload rules that are labdata's own, which no plugin replaces."""
    return list(_RULES.built_in)


@dataclass(frozen=True)
class PutFile:
    """A file that was put.

    Attributes
    ----------
    path : Path
        Where it is on this computer.
    file_path : str
        Its path relative to the inbox, with ``/``.
    sha256 : str or None
        What its content must hash to. Of a file that a rule makes, what it was before the rule
        compared it with its originals; None if the rule does not say.
    """

    path: Path
    file_path: str
    sha256: str | None = None


@dataclass(frozen=True)
class UploadContext:
    """What a rule is given.

    Attributes
    ----------
    files : tuple of PutFile
        All files of the job, in the order of their paths.
    key : dict
        subject_name, session_name, dataset_name.
    staging : Path
        An empty folder on a local disk.
    progress : Progress
        Called with bytes of the originals as they are processed.
    """

    files: tuple[PutFile, ...]
    key: dict[str, str]
    staging: Path
    progress: Progress


@dataclass(frozen=True)
class RuleOutput:
    """What is to be stored in place of the files of a job.

    Attributes
    ----------
    files : tuple of PutFile
        What goes to the store: originals as they are, and new files in the staging folder.
    replaced : tuple of PutFile
        Originals that an equal, verified file in ``files`` stands for.
    facts : dict
        What ``apply`` learned and ``insert`` needs.
    """

    files: tuple[PutFile, ...]
    replaced: tuple[PutFile, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


class UploadRule(ABC):
    """One kind of raw data.

    Attributes
    ----------
    name : str
        As given to ``labdata put -r``.
    dataset_type : str or None
        DatasetType of what it handles, if it is always the same.
    reads_files : bool
        Whether ``apply`` looks into the files. If so they are compared with what was put before
        it does; if not, once less: as they are stored.
    """

    name: ClassVar[str]
    dataset_type: ClassVar[str | None] = None
    reads_files: ClassVar[bool] = True

    def check(self, folder: Path, files: tuple[Path, ...]) -> None:
        """Refuse a folder that this rule cannot handle, before anything is copied.

        Parameters
        ----------
        folder : Path
            The folder to be put.
        files : tuple of Path
            Its files.

        Raises
        ------
        LabdataError
            With what is wrong and what to do.
        """
        del folder, files

    def recognises(self, files: tuple[Path, ...]) -> bool:
        """Return whether a folder is of this kind, by its files' names.

        Where the user names no rule, the first that recognises the folder is taken.

        Parameters
        ----------
        files : tuple of Path
            Its files.
        """
        del files
        return False

    def said(self, folder: Path) -> dict[str, str]:
        """Return what the acquisition program wrote of itself: paths, notes, names.

        It is searched for the name of another subject than the one that the folder is put to.

        Parameters
        ----------
        folder : Path
            The folder to be put.

        Returns
        -------
        dict of str to str
            Where it was found, for the message, to the text.
        """
        del folder
        return {}

    def check_dataset(self, lab: Any, key: dict[str, str]) -> None:
        """Refuse a dataset that cannot take these data beside what it has.

        Parameters
        ----------
        lab : Lab
            The tables.
        key : dict
            subject_name, session_name, dataset_name.

        Raises
        ------
        LabdataError
            With what is there and what to do.
        """
        del lab, key

    def recorded(self, folder: Path) -> Any:
        """Return when the data were recorded (local datetime), if they say so, else None.

        Parameters
        ----------
        folder : Path
            The folder to be put.
        """
        del folder

    @abstractmethod
    def apply(self, context: UploadContext) -> RuleOutput:
        """Write what should be stored into the staging folder, and say what it is.

        Parameters
        ----------
        context : UploadContext
            The files and where to write.

        Returns
        -------
        RuleOutput
            The files written, and the rows to insert with them.

        Raises
        ------
        LabdataError
            If the files are not what the rule expects.
        """

    def insert(self, lab: Any, context: UploadContext, output: RuleOutput) -> None:
        """Insert the rows of this kind of data; runs inside the upload's transaction.

        Others wait meanwhile, and a worker that says nothing to the database for minutes is taken
        for vanished: what takes long is done in ``apply``.

        Parameters
        ----------
        lab : Lab
            The tables.
        context, output
            What ``apply`` was given and returned.
        """
        del lab, context, output


def rule_names() -> list[str]:
    """Return the names of all rules, built in and installed."""
    return _RULES.names()


def guess_rule(files: tuple[Path, ...]) -> UploadRule | None:
    """Return the rule that recognises a folder by its files, if one does.

    Parameters
    ----------
    files : tuple of Path
        Its files.

    Raises
    ------
    RuleError
        If several do.
    """
    found = [rule for rule in map(find_rule, rule_names()) if rule.recognises(files)]
    if len(found) > 1:
        raise RuleError(
            f"The folder may be of several kinds: {', '.join(rule.name for rule in found)}.",
            hint="Say which with -r.",
        )
    return found[0] if found else None


def find_rule(name: str) -> UploadRule:
    """Return the rule of a name.

    Parameters
    ----------
    name : str
        As given to ``labdata put -r``.

    Raises
    ------
    RuleError
        If there is no such rule; the message names those there are.
    """
    rule: UploadRule = _RULES.make(name)
    return rule
