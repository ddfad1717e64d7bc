"""The lab: people, projects, subjects, sessions, datasets and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

from ..database.projects import Lookup, Manual, Part, table


@table("global")
class LabMember(Manual):
    """People of the lab."""

    definition = """
    user_name : varchar(32)              # short name, as used everywhere
    ---
    email=null : varchar(128)
    first_name=null : varchar(64)
    last_name=null : varchar(64)
    date_joined=null : date
    is_active=1 : int8                   # 1 active, 0 left the lab
    """


@table("global")
class Project(Manual):
    """Projects that keep their metadata and results apart.

    A project has a row from the moment its tables are made; who it is of is for people to say.
    """

    definition = """
    project_name : varchar(32)
    ---
    project_description='' : varchar(500)
    project_startdate=null : date
    project_enddate=null : date
    -> [nullable] LabMember.proj(project_contact="user_name")
    """

    class User(Part):
        """Members of a project."""

        definition = """
        -> master
        -> LabMember
        """


@table("global")
class File(Manual):
    """Raw files that are safe in a store."""

    definition = """
    file_path : varchar(400)             # relative, with /, unique in its store
    storage='data' : varchar(32)         # name of the store in the preference file
    ---
    file_datetime : datetime(6)          # last change of the original, UTC
    file_size : int64                    # bytes
    file_md5=null : char(32)             # of files that came from an older lab
    file_sha256=null : char(64)          # identity of the content
    """

    def get(
        self,
        local_paths: list[str | Path] | None = None,
        *,
        download: bool | None = None,
        verify: bool = False,
        progress: Any = None,
    ) -> list[Path]:
        """Return these files on this computer, fetched from their store where they are missing.

        Parameters
        ----------
        local_paths : list of path, optional
            Folders to search in order; the first receives what is fetched. By default those of
            the preference file.
        download : bool, optional
            Whether S3 stores may be read; by default ``allow_s3_download`` of the preferences.
            Local stores are always read.
        verify : bool, optional
            Compare local copies with the checksum that was recorded; without it, only their size
            is looked at. What is fetched is always verified.
        progress : Progress, optional
            Called with the bytes of each file as they arrive.

        Returns
        -------
        list of Path
            One a row, in the order of the file paths.

        Raises
        ------
        StoreError
            If a file is on no local path and may not be or cannot be fetched.
        IntegrityError
            If what was fetched, or with ``verify`` a local copy, differs from what was recorded.
        """
        from .files import get_files

        return get_files(
            self,
            local_paths=local_paths,
            download=download,
            verify=verify,
            progress=progress,
        )

    def open(self, *, download: bool = False) -> BinaryIO:
        """Open this one file for reading: a local copy, else the parts that are read, where it is.

        One second of a video or a line of a table need not be fetched whole. Parts that come from
        a store are what it has now; only whole files are compared with their checksum.

        Parameters
        ----------
        download : bool, optional
            Fetch it first, verified, as :meth:`get` does.

        Returns
        -------
        binary file
            Seekable; close it after use.

        Raises
        ------
        QueryError
            If these are no or several files.
        StoreError
            If it is nowhere to be read, or has another size than recorded.
        """
        from .files import open_file

        return open_file(self, download=download)


@table("global")
class AnalysisFile(File):
    """Files of results that are safe in a store."""

    definition = """
    file_path : varchar(400)             # relative, with /, unique in its store
    storage='analysis' : varchar(32)     # name of the store in the preference file
    ---
    file_datetime : datetime(6)          # last change of the original, UTC
    file_size : int64                    # bytes
    file_md5=null : char(32)             # of files that came from an older lab
    file_sha256=null : char(64)          # identity of the content
    """


@table("global")
class ProcessedFile(Manual):
    """Originals that a rule replaced by an equivalent that is in the store."""

    definition = """
    file_path : varchar(400)             # where the original was, relative
    ---
    file_datetime : datetime(6)          # UTC
    file_size : int64                    # bytes
    file_md5=null : char(32)
    file_sha256=null : char(64)
    """


@table("global")
class Species(Lookup):
    """Species of subjects."""

    definition = """
    species_name : varchar(32)
    ---
    species_scientific_name : varchar(56)
    species_description=null : varchar(256)
    """
    initial_rows = (
        ("mouse", "Mus musculus", None),
        ("rat", "Rattus norvegicus", None),
    )


@table("global")
class Strain(Lookup):
    """Strains of a species."""

    definition = """
    strain_name : varchar(56)
    ---
    -> Species
    strain_description=null : varchar(256)
    """
    initial_rows = (
        ("C57BL/6J", "mouse", None),
        ("B6129SF1/J", "mouse", None),
        ("Long-Evans", "rat", None),
    )


@table("global")
class SetupLocation(Lookup):
    """Rooms and places of setups."""

    definition = """
    setup_location : varchar(255)
    """


@table("global")
class Setup(Lookup):
    """Rigs."""

    definition = """
    setup_name : varchar(54)
    ---
    -> [nullable] SetupLocation
    setup_description=null : varchar(512)
    """


@table("data")
class Subject(Manual):
    """Animals and other subjects."""

    definition = """
    subject_name : varchar(64)
    ---
    subject_dob : date                   # date of birth
    subject_sex : enum('M', 'F', 'U')    # male, female, unknown
    -> Strain
    -> LabMember
    """


@table("data")
class Note(Manual):
    """Free text with images and attachments."""

    definition = """
    -> LabMember.proj(notetaker='user_name')
    note_datetime : datetime(6)
    ---
    notes='' : varchar(4000)
    """

    class Image(Part):
        """Images of a note."""

        definition = """
        -> master
        image_id : int32
        ---
        image : <blob>
        caption=null : varchar(256)
        """

    class Attachment(Part):
        """Files of a note."""

        definition = """
        -> master
        -> File
        ---
        caption=null : varchar(256)
        """


@table("data")
class Session(Manual):
    """Experimental sessions of a subject."""

    definition = """
    -> Subject
    session_name : varchar(64)
    ---
    session_datetime : datetime(6)       # start, local time of the rig
    -> [nullable] LabMember.proj(experimenter='user_name')
    """


@table("data")
class DatasetType(Lookup):
    """Kinds of data."""

    definition = """
    dataset_type : varchar(32)
    """
    initial_rows = (
        ("task-training",),
        ("task-behavior",),
        ("passive-spontaneous",),
        ("passive-stimulation",),
        ("free-behavior",),
        ("imaging-2p",),
        ("imaging-widefield",),
        ("imaging-miniscope",),
        ("ephys",),
        ("opto-inactivation",),
        ("opto-activation",),
        ("analysis",),
    )


@table("data")
class Dataset(Manual):
    """Data of one kind recorded in a session."""

    definition = """
    -> Subject
    -> Session
    dataset_name : varchar(128)
    ---
    -> [nullable] DatasetType
    -> [nullable] Setup
    -> [nullable] Note
    """

    class DataFiles(Part):
        """Files of a dataset."""

        definition = """
        -> master
        -> File
        """

    def _repr_html_(self) -> str:
        from .representations import describe_datasets

        if not self.restriction:
            return super()._repr_html_()
        return self._headed(describe_datasets(self))
