"""A bucket and the folder in it: the requests that all verbs are made of.

HEAD has no room for a reason: it answers 404 for a missing object, for a missing bucket, and from
any web server that never heard of S3; 403 for a wrong key and for a wrong clock. So a refusal is
asked about again with GET, and only ``NoSuchKey`` becomes
:class:`~labdata.errors.MissingObjectError`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from labdata.errors import MissingObjectError
from labdata.stores.objects import ObjectInfo
from labdata.stores.paths import PARTIAL_PREFIX, validate_object_path
from labdata.stores.s3.client import connect
from labdata.stores.s3.errors import S3Error, explain_s3_errors
from labdata.stores.s3.settings import S3Settings

#: User metadata of each object: SHA-256 of the content, time of its file, size of its parts.
SHA256_KEY, MTIME_KEY, PART_KEY = "labdata-sha256", "labdata-mtime-ns", "labdata-part-bytes"

#: The server got other bytes than were sent and kept none of them: boto3 does not send again.
_DAMAGED = {"BadDigest", "XAmzContentSHA256Mismatch"}
_DAMAGED_ATTEMPTS = 3


@dataclass(frozen=True)
class Head:
    """What a HEAD request tells of an object.

    Attributes
    ----------
    size_bytes : int
        Length of the content.
    etag : str
        The server's name of the content, without quotes: usually an MD5, or one of MD5s.
    modified : datetime.datetime
        When it was stored, in UTC.
    metadata : mapping
        The user metadata, keys in lower case.
    answer : mapping
        All of the answer, for what only some objects have.
    """

    size_bytes: int
    etag: str
    modified: datetime
    metadata: Mapping[str, str]
    answer: Mapping[str, Any]

    @property
    def sha256(self) -> str | None:
        """What the writer said the content is; nobody has looked since."""
        return self.metadata.get(SHA256_KEY)

    @property
    def part_bytes(self) -> int | None:
        """Size of the parts that the object was written in, None if nobody wrote it down."""
        text = self.metadata.get(PART_KEY, "")
        return int(text) if text.isdecimal() and int(text) > 0 else None

    @property
    def identity(self) -> tuple[object, ...]:
        """What changes if the object is written again."""
        return self.size_bytes, self.etag, self.modified, self.answer.get("VersionId")

    def info(self, object_path: str, sha256: str | None = None) -> ObjectInfo:
        """Return what the store says of the object.

        Parameters
        ----------
        object_path : str
            Its path.
        sha256 : str, optional
            Of its content, if that was confirmed just now.
        """
        return ObjectInfo(object_path, self.size_bytes, sha256, self.modified)


class Bucket:
    """Requests to one folder of one bucket, errors in words.

    Parameters
    ----------
    settings : S3Settings
    """

    def __init__(self, settings: S3Settings) -> None:
        self.settings = settings
        self.prefix = f"{settings.folder}/" if settings.folder else ""

    def key(self, object_path: str) -> str:
        """Return the key of an object.

        Parameters
        ----------
        object_path : str
            Checked here.
        """
        return self.prefix + validate_object_path(object_path)

    def partial_key(self, name: str) -> str:
        """Return the key of something that is no object: a record, a claim, a probe.

        Parameters
        ----------
        name : str
            What follows the prefix of unfinished writes.
        """
        return f"{self.prefix}{PARTIAL_PREFIX}{name}"

    def call(
        self, action: str, operation: str, object_path: str | None = None, **arguments: Any
    ) -> dict[str, Any]:
        """Return the answer to a request.

        Parameters
        ----------
        action : str
            In words, for errors.
        operation : str
            boto3's name of it.
        object_path : str, optional
            For errors; also the key, unless there is one among the arguments.
        **arguments
            Of the operation.

        Raises
        ------
        labdata.stores.s3.errors.S3Error
            If it is refused or there is no answer.
        """
        if object_path is not None and "Key" not in arguments:
            arguments["Key"] = self.key(object_path)
        send = getattr(connect(self.settings), operation)
        attempts = _DAMAGED_ATTEMPTS
        while True:
            attempts -= 1
            try:
                with explain_s3_errors(self.settings, action, object_path):
                    answer: dict[str, Any] = send(Bucket=self.settings.bucket, **arguments)
                    return answer
            except S3Error as error:
                if error.code not in _DAMAGED or not attempts:
                    raise

    def head(self, object_path: str) -> Head:
        """Return what HEAD tells of an object.

        Parameters
        ----------
        object_path : str

        Raises
        ------
        labdata.errors.MissingObjectError
            If the server says that there is none.
        labdata.errors.StoreError
            If it cannot be told.
        """
        for _ in range(2):
            try:
                return _head(self.call("look at", "head_object", object_path))
            except S3Error as error:
                if not error.code.isdecimal():
                    raise
                refusal = error
            self._raise_reason(object_path)
        raise refusal

    def find(self, object_path: str) -> Head | None:
        """Return what HEAD tells of an object, None if there is none.

        Parameters
        ----------
        object_path : str
        """
        try:
            return self.head(object_path)
        except MissingObjectError:
            return None

    def missing(self, object_path: str) -> MissingObjectError:
        """Return the error that says that an object is not there.

        Parameters
        ----------
        object_path : str
        """
        return MissingObjectError(
            f"There is no object {object_path!r} in {self.settings.describe()}.",
            hint="Check the path, and that this is the store that the file was uploaded to.",
        )

    def _raise_reason(self, object_path: str) -> None:
        """Raise why HEAD was refused; return if GET is not, as when the object has just come."""
        try:
            self.call("look at", "get_object", object_path, Range="bytes=0-0")["Body"].close()
        except S3Error as error:
            if error.code == "NoSuchKey":
                raise self.missing(object_path) from None
            if error.status != 416:  # an object without content has no byte 0
                raise


def _head(answer: dict[str, Any]) -> Head:
    return Head(
        size_bytes=answer["ContentLength"],
        etag=bare_etag(answer),
        modified=answer["LastModified"].astimezone(UTC),
        metadata={key.lower(): value for key, value in answer.get("Metadata", {}).items()},
        answer=answer,
    )


def bare_etag(answer: Mapping[str, Any]) -> str:
    """Return the ETag of an answer without its quotes.

    Parameters
    ----------
    answer : mapping
        Of HEAD, GET, PUT or one part.
    """
    return str(answer.get("ETag", "")).strip('"')


def server_time(answer: Mapping[str, Any]) -> datetime:
    """Return the server's clock when it answered; this computer's if it does not say.

    Parameters
    ----------
    answer : mapping
        Of any operation.
    """
    text = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except (TypeError, ValueError):
        return datetime.now(UTC)


def short_hash(text: str) -> str:
    """Return 32 hexadecimal digits that stand for a text in a name.

    Parameters
    ----------
    text : str
    """
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:32]


def describe_content(
    sha256: str, mtime_ns: int | str, part_bytes: int | None = None
) -> dict[str, str]:
    """Return the user metadata of an object.

    Parameters
    ----------
    sha256 : str
        Of the content.
    mtime_ns : int or str
        When the file was last changed, in nanoseconds since 1970.
    part_bytes : int, optional
        Size of the parts; none for an object in one piece.

    Returns
    -------
    dict
    """
    parts = {} if part_bytes is None else {PART_KEY: str(part_bytes)}
    return {SHA256_KEY: sha256, MTIME_KEY: str(mtime_ns), **parts}
