"""Where a bucket is and how it is reached, checked before anything is sent.

An endpoint is taken as people write it: a host name, with a port or without, or a URL. A host of
AWS is reached through TLS at its own port; another one behind it (files of older labs have
``s3.amazonaws.com:9000``) means nothing there and is passed over; :func:`endpoint_note` says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from labdata.errors import StoreError
from labdata.stores.paths import validate_object_path

#: AWS's own endpoint, whose regions boto3 knows.
AWS_ENDPOINT = "s3.amazonaws.com"

#: Ends the name of each host of AWS.
_AWS = "amazonaws.com"

#: The region in the name of a host of AWS.
_AWS_REGION = re.compile(r"^s3[.-](?:dualstack\.)?([a-z]+(?:-[a-z]+)+-[0-9]+)\.amazonaws\.com$")

#: Smallest part of a multipart upload that S3 allows, in bytes; the last may be smaller.
MIN_PART_BYTES = 5 * 1024 * 1024

#: Largest part held in memory, in bytes.
MAX_PART_BYTES = 192 * 1024 * 1024

#: Most parts of a multipart upload that S3 allows.
MAX_PARTS = 10_000

_MAX_WORKERS = 32


@dataclass(frozen=True)
class S3Settings:
    """All that is needed to use a bucket.

    Attributes
    ----------
    bucket : str
        Name of the bucket.
    endpoint : str
        Host, ``host:port`` or URL of the server.
    folder : str
        Put before each object path; empty for the whole bucket.
    region : str or None
        Region of the bucket; None for what the AWS settings of this computer say.
    addressing : {'auto', 'path', 'virtual'}
        Whether the bucket is in the path or in the host name; ``auto`` is the path, except at AWS.
    access_key, secret_key : str or None
        None for the AWS settings of this computer. Never shown.
    profile : str or None
        Profile of the AWS settings of this computer.
    use_tls : bool
        Whether an endpoint without ``http://`` or ``https://`` is reached through TLS.
    verify_tls : bool
        Whether the server's certificate is checked.
    ca_file : str or None
        Certificates to check the server's with, for a lab's own authority.
    conditional_writes : {'auto', 'yes', 'no'}
        Whether the server refuses to overwrite when asked to; ``auto`` finds out.
    workers : int
        Transfers of one file at the same time.
    part_bytes : int
        Size of the parts of a large file, in bytes; it grows where 10,000 parts are too few.
    connect_timeout_s, read_timeout_s : float
        How long to wait for a connection and for an answer, in seconds.
    attempts : int
        How often a request is tried.

    Raises
    ------
    labdata.errors.StoreError
        If a value cannot be used.
    """

    bucket: str
    endpoint: str = AWS_ENDPOINT
    folder: str = ""
    region: str | None = None
    addressing: Literal["auto", "path", "virtual"] = "auto"
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    profile: str | None = None
    use_tls: bool = True
    verify_tls: bool = True
    ca_file: str | None = None
    conditional_writes: Literal["auto", "yes", "no"] = "auto"
    workers: int = 4
    part_bytes: int = 16 * 1024 * 1024
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0
    attempts: int = 4

    def __post_init__(self) -> None:
        if not self.bucket or "/" in self.bucket:
            raise StoreError(
                f"{self.bucket!r} is no name of a bucket.", hint="Name the bucket without folders."
            )
        if self.folder:
            validate_object_path(self.folder)
        if (self.access_key is None) != (self.secret_key is None):
            given = "access_key" if self.secret_key is None else "secret_key"
            raise StoreError(
                f"The bucket {self.bucket} has {given} and not the other of the two keys.",
                hint="Give both access_key and secret_key, or neither and use the AWS settings.",
            )
        if not MIN_PART_BYTES <= self.part_bytes <= MAX_PART_BYTES:
            raise StoreError(
                f"part_bytes is {self.part_bytes}.",
                hint=f"Choose {MIN_PART_BYTES} to {MAX_PART_BYTES} bytes.",
            )
        if not 1 <= self.workers <= _MAX_WORKERS:
            raise StoreError(f"workers is {self.workers}.", hint=f"Choose 1 to {_MAX_WORKERS}.")
        endpoint_url(self.endpoint, use_tls=self.use_tls)

    @property
    def url(self) -> str | None:
        """The endpoint as a URL; None for AWS, whose endpoints boto3 knows."""
        return endpoint_url(self.endpoint, use_tls=self.use_tls)

    @property
    def is_aws(self) -> bool:
        """Whether the server is one of AWS, whose behaviour is known."""
        return _is_aws(urlsplit(self.url or f"https://{AWS_ENDPOINT}").hostname or "")

    @property
    def region_name(self) -> str | None:
        """The region: as given, or as the name of the server has it."""
        found = _AWS_REGION.match(urlsplit(self.url or "").hostname or "")
        return self.region or (found[1] if found else None)

    def describe(self) -> str:
        """Return where this is, for a person: no secrets."""
        place = f"{self.bucket}/{self.folder}" if self.folder else self.bucket
        return f"bucket {place} at {self.url or AWS_ENDPOINT}"


def endpoint_url(endpoint: str, *, use_tls: bool = True) -> str | None:
    """Return an endpoint as a URL, None if it is AWS without a region.

    Parameters
    ----------
    endpoint : str
        As in the preferences.
    use_tls : bool, optional
        What a bare host means.

    Raises
    ------
    labdata.errors.StoreError
        If it names no host, or has more to it than scheme, host and port.
    """
    text = endpoint.strip()
    bare = "://" not in text
    try:
        parts = urlsplit(f"{'https' if use_tls else 'http'}://{text}" if bare else text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
        parts = urlsplit("")
    if not host or parts.scheme not in ("http", "https") or any(c.isspace() for c in host):
        raise StoreError(
            f"The S3 endpoint {_without_login(endpoint)!r} names no server.",
            hint="Write it like 's3.amazonaws.com', 'server:9000' or 'https://server:9000'.",
        )
    if parts.username or parts.password or parts.query or parts.path.strip("/"):
        raise StoreError(
            f"The S3 endpoint {_without_login(endpoint)!r} is more than a server.",
            hint="Give the bucket, the folder and the keys as settings of their own.",
        )
    if host == AWS_ENDPOINT:
        return None
    if _is_aws(host):
        return f"https://{host}"
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}:{port}" if port else f"{parts.scheme}://{shown}"


def endpoint_note(endpoint: str) -> str | None:
    """Return what a person should know of an endpoint that works, None if there is nothing.

    Parameters
    ----------
    endpoint : str
        As in the preferences.

    Raises
    ------
    labdata.errors.StoreError
        If it is no endpoint.
    """
    url = endpoint_url(endpoint) or f"https://{AWS_ENDPOINT}"
    host = urlsplit(url).hostname or ""
    text = endpoint.strip().rstrip("/")
    if not _is_aws(host) or text in (host, url):
        return None
    if text == f"http://{host}":
        return f"{text} is reached through TLS, as AWS always is"
    return f"{text} is read as {host}, AWS has no port of its own"


def _is_aws(host: str) -> bool:
    return host == _AWS or host.endswith(f".{_AWS}")


def _without_login(endpoint: str) -> str:
    scheme, separator, rest = endpoint.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
