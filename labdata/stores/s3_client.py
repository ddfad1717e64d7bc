"""How an S3 server is reached, and what its refusals mean in words.

Any server that speaks S3 will do: Amazon's, or one in the lab. Requests are signed with version 4,
which also has the server check the SHA-256 of every body that is sent over plain HTTP. "It is not
there" is told from everything else that can go wrong, as originals are deleted on the strength of
it; secrets are in no message.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from labdata.errors import LabdataError, MissingObjectError, MissingPackageError, StoreError

Addressing = Literal["auto", "path", "virtual"]
_MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
#: Another object is under the path already, or another writer was first.
TAKEN = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})
_AMAZON = "amazonaws.com"


@dataclass(frozen=True)
class S3Settings:
    """Where a bucket is, and who asks.

    Attributes
    ----------
    bucket : str
        Its name.
    endpoint : str
        Server: ``host``, ``host:port`` or an address with ``http://`` or ``https://``. Anything of
        amazonaws.com is Amazon's own, whatever port is named.
    region : str or None
        Of the bucket; by default the environment's, or us-east-1.
    access_key, secret_key : str or None
        Without them the environment's or the profile's are taken.
    profile : str or None
        Of the AWS configuration files.
    addressing : str
        How the bucket is named in addresses: ``auto``, ``path`` or ``virtual``.
    use_tls : bool
        For an endpoint that does not say http or https.
    ca_file : str or None
        Certificates to trust, for a server with its own.
    """

    bucket: str
    endpoint: str = "s3.amazonaws.com"
    region: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    profile: str | None = None
    addressing: Addressing = "auto"
    use_tls: bool = True
    ca_file: str | None = None

    @property
    def address(self) -> str | None:
        """Address of the server; None for Amazon's, which the region tells.

        Raises
        ------
        StoreError
            If the endpoint is no address.
        """
        text = self.endpoint.strip()
        scheme = "" if "://" in text else ("https://" if self.use_tls else "http://")
        parts = urlsplit(f"{scheme}{text}")
        host = parts.hostname or ""
        if host == _AMAZON or host.endswith(f".{_AMAZON}"):
            return None
        if parts.scheme not in ("http", "https") or not host:
            raise StoreError(
                f"The endpoint {self.endpoint!r} is no address of a server.",
                hint="Write it as https://server.example.org:8333.",
            )
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def where(self) -> str:
        """The bucket and its server, for messages."""
        return f"bucket {self.bucket} at {self.address or 'AWS'}"


class S3Client:
    """A connection pool that threads share; a forked process makes its own.

    Parameters
    ----------
    settings : S3Settings
        Where to.
    """

    def __init__(self, settings: S3Settings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._made: tuple[int, Any] | None = None

    def get(self) -> Any:
        """Return boto3's client of this process.

        Raises
        ------
        MissingPackageError
            If boto3 is not installed.
        """
        with self._lock:
            if self._made is None or self._made[0] != os.getpid():
                self._made = os.getpid(), _make_client(self.settings)
            return self._made[1]


def _make_client(settings: S3Settings) -> Any:
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError:
        raise MissingPackageError("boto3", "s3") from None
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": settings.addressing, "payload_signing_enabled": True},
        retries={"mode": "standard", "max_attempts": 4},
        max_pool_connections=32,
        connect_timeout=10,
        read_timeout=120,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        session = boto3.session.Session(
            aws_access_key_id=settings.access_key,
            aws_secret_access_key=settings.secret_key,
            region_name=settings.region,
            profile_name=settings.profile,
        )
        return session.client(
            "s3",
            endpoint_url=settings.address,
            region_name=settings.region or session.region_name or "us-east-1",
            config=config,
            verify=settings.ca_file or True,
        )
    except (BotoCoreError, ValueError) as error:
        raise StoreError(
            f"The {settings.where} cannot be used: {error}",
            hint="Check endpoint, profile and region under storage in the preference file.",
        ) from error


def code_of(error: Any) -> str:
    """Return the code of an S3 server's refusal, such as ``NoSuchKey``.

    Parameters
    ----------
    error : botocore.exceptions.ClientError
        The refusal.
    """
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def explain_s3_errors(settings: S3Settings, action: str, object_path: str) -> Iterator[None]:
    """Turn any failure of the block into a StoreError in words.

    Parameters
    ----------
    settings : S3Settings
        Of the bucket.
    action : str
        What is being done, as in ``"store"``.
    object_path : str
        To what.

    Raises
    ------
    MissingObjectError
        If the server answers that there is no such object.
    StoreError
        For everything else: then nobody knows whether it is there.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except LabdataError:
        raise
    except ClientError as error:
        raise _explained(settings, action, object_path, error) from error
    except (BotoCoreError, OSError) as error:
        raise StoreError(
            f"Could not {action} {object_path} in {settings.where}: {_reason(error)}.",
            hint="Is the server up and reached from here? Then repeat: nothing half was kept.",
        ) from error


def _explained(settings: S3Settings, action: str, object_path: str, error: Any) -> StoreError:
    code, said = code_of(error), str(error.response.get("Error", {}).get("Message", ""))
    if code in _MISSING:
        return MissingObjectError(
            f"There is no object {object_path!r} in {settings.where}.",
            hint="Check the path, and that this is the store that the file was uploaded to.",
        )
    hints = {
        "NoSuchBucket": "Is the bucket's name right? The lab's administrator makes buckets.",
        "AccessDenied": "The keys do not allow this: ask the lab's administrator.",
        "403": "The keys do not allow this: ask the lab's administrator.",
        "InvalidAccessKeyId": "The access key is not known there: check it.",
        "SignatureDoesNotMatch": "The secret key is wrong: check it.",
        "RequestTimeTooSkewed": "The clock of this computer is wrong: set it.",
        "SlowDown": "The server has too much to do: repeat later.",
    }
    return StoreError(
        f"Could not {action} {object_path} in {settings.where}: {code} {said}".rstrip() + ".",
        hint=hints.get(code, "Repeat; if it stays so, ask who runs the server."),
    )


def _reason(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__
