"""The connection to an S3 server: one client a process and settings, shared by all threads.

boto3 is an extra, so it is imported here, inside a function. The signature is pinned to version 4
(with an endpoint of one's own boto3 would sign links with version 2, which servers refuse).
boto3's own checksums are off unless an operation demands them: they travel in a form that older
servers do not read, and every body here carries its MD5, which servers check. The body is not
hashed again for the signature, on plain HTTP either: the MD5 is signed with the other headers. The
endpoint is that of the preferences, never one of the environment: where data go must be what is
shown.
"""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from labdata.errors import MissingPackageError
from labdata.stores.s3.errors import explain_s3_errors

if TYPE_CHECKING:
    from labdata.stores.s3.settings import S3Settings

_clients: dict[tuple[int, S3Settings], Any] = {}
_lock = threading.Lock()


def connect(settings: S3Settings) -> Any:
    """Return a client, made at the first call of a process; nothing is sent yet.

    Parameters
    ----------
    settings : S3Settings

    Returns
    -------
    botocore client
        Safe to use from several threads.

    Raises
    ------
    labdata.errors.MissingPackageError
        If boto3 is not installed.
    labdata.errors.StoreError
        If the AWS settings of this computer do not have what is needed.
    """
    # of all folders of a bucket one, and none after a fork: connections do not survive it
    identity = (os.getpid(), replace(settings, folder=""))
    with _lock:
        if identity not in _clients:
            _clients[identity] = _make(settings)
        return _clients[identity]


def _make(settings: S3Settings) -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        raise MissingPackageError("boto3", "s3") from None
    style = settings.addressing
    if style == "auto" and not settings.is_aws:
        style = "path"  # few servers of labs answer to bucket.host
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": style, "payload_signing_enabled": False},
        retries={"mode": "standard", "total_max_attempts": settings.attempts},
        connect_timeout=settings.connect_timeout_s,
        read_timeout=settings.read_timeout_s,
        max_pool_connections=2 * settings.workers + 16,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        ignore_configured_endpoint_urls=True,
        user_agent_extra="labdata",
    )
    with explain_s3_errors(settings, "use"):
        session = boto3.session.Session(profile_name=settings.profile)
        region = settings.region_name or session.region_name
        return session.client(
            "s3",
            endpoint_url=settings.url,
            region_name=region or (None if settings.url is None else "us-east-1"),
            aws_access_key_id=settings.access_key,
            aws_secret_access_key=settings.secret_key,
            verify=(settings.ca_file or True) if settings.verify_tls else False,
            config=config,
        )
