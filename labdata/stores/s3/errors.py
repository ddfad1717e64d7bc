"""What an S3 server or the network refused, said in words: what, where, and what to do now.

"It is not there" is never concluded here: only the callers that asked for an object, and were told
``NoSuchKey`` in so many words, may say so. Keys are not shown, not even where a server repeats
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from labdata.errors import StoreAwayError, StoreError

if TYPE_CHECKING:
    from labdata.stores.s3.settings import S3Settings

_KEYS = "Check access_key and secret_key of the store, or the AWS settings of this computer."
_RIGHTS = (
    "Ask the bucket's owner for the rights to list it, and to get, put and delete its objects."
)
_BUSY = "Wait a little and repeat; what is stored already is kept."
_REGION = "Set the store's region to the one of the bucket."
_LOGIN = "Log in again (for AWS: aws sso login), then repeat."
_CLOCK = "Set this computer's clock; servers refuse requests that are minutes off."
_DAMAGED = "The network damaged the bytes; repeat, and check cable and memory if it comes again."
_FULL = "Free space in the bucket or raise its quota, then repeat; nothing incomplete was kept."
_PLACE = "Check the store's endpoint and the network (VPN, proxy), then repeat."
_CERTIFICATE = (
    "Set ca_file to the certificate of the server's authority, or use_tls to false if the server "
    "has no TLS."
)

#: Code of an S3 answer -> what happened, what to do.
_CODES: dict[str, tuple[str, str]] = {
    "NoSuchBucket": ("there is no such bucket", "Check the store's bucket and endpoint."),
    "AccessDenied": ("access is denied", _RIGHTS),
    "403": ("access is denied", f"{_KEYS} {_RIGHTS}"),
    "AllAccessDisabled": ("access is denied", _RIGHTS),
    "InvalidAccessKeyId": ("the access key is not known there", _KEYS),
    "SignatureDoesNotMatch": ("the secret key is wrong", _KEYS),
    "ExpiredToken": ("the login has expired", _LOGIN),
    "InvalidToken": ("the login is not valid", _LOGIN),
    "TokenRefreshRequired": ("the login has expired", _LOGIN),
    "RequestTimeTooSkewed": ("this computer's clock differs from the server's", _CLOCK),
    "SlowDown": ("the server asks to slow down", _BUSY),
    "RequestTimeout": ("the server waited for data in vain", _BUSY),
    "ServiceUnavailable": ("the server is busy", _BUSY),
    "InternalError": ("the server has a fault", _BUSY),
    "PermanentRedirect": ("the bucket is in another region", _REGION),
    "301": ("the bucket is in another region", _REGION),
    "AuthorizationHeaderMalformed": ("the bucket is in another region", _REGION),
    "BadDigest": ("the bytes that arrived are not those that were sent", _DAMAGED),
    "XAmzContentSHA256Mismatch": ("the bytes that arrived are not those that were sent", _DAMAGED),
    "QuotaExceeded": ("the quota is used up", _FULL),
    "InsufficientStorage": ("the server is full", _FULL),
    "XMinioStorageFull": ("the server is full", _FULL),
    "XMinioAdminBucketQuotaExceeded": ("the quota is used up", _FULL),
    "507": ("the server is full", _FULL),
    "NotImplemented": ("the server cannot do this", _PLACE),
    "501": ("the server cannot do this", _PLACE),
    "404": ("the answer is not one of S3", "Check the store's endpoint: is it an S3 server?"),
    "405": ("the answer is not one of S3", "Check the store's endpoint: is it an S3 server?"),
}

#: Classes, of botocore, urllib3 and Python, of what the network does and a repetition may mend.
_NETWORK = {
    *("HTTPClientError", "ConnectionError", "HTTPError", "TimeoutError", "gaierror"),
    "IncompleteReadError",
}

#: Class of an error of the network or of this computer -> what happened, what to do.
_CLASSES: dict[str, tuple[str, str]] = {
    "ConnectTimeoutError": ("it does not answer", _PLACE),
    "ReadTimeoutError": ("it stopped answering", _PLACE),
    "SSLError": ("its certificate is not trusted, or it has no TLS", _CERTIFICATE),
    "ConnectionClosedError": ("the connection was cut", _PLACE),
    "ProtocolError": ("the connection was cut", _PLACE),
    "IncompleteRead": ("the connection was cut", _PLACE),
    "ResponseStreamingError": ("the connection was cut", _PLACE),
    "IncompleteReadError": ("the connection was cut", _PLACE),
    "ProxyConnectionError": ("the proxy does not answer", _PLACE),
    "NoCredentialsError": ("there are no keys", _KEYS),
    "PartialCredentialsError": ("one of the two keys is missing", _KEYS),
    "CredentialRetrievalError": ("the keys could not be fetched", _KEYS),
    "UnauthorizedSSOTokenError": ("the login has expired", _LOGIN),
    "SSOTokenLoadError": ("there is no login", _LOGIN),
    "TokenRetrievalError": ("the login has expired", _LOGIN),
    "ProfileNotFound": (
        "the AWS profile does not exist",
        "List them: aws configure list-profiles",
    ),
    # boto3 follows a redirect for the bucket by asking for the bucket, and that is redirected too
    "RecursionError": ("the bucket is in another region", _REGION),
    "ResponseParserError": ("the answer is not one of S3", "Is the endpoint an S3 server?"),
}


class S3Error(StoreError):
    """A refusal, with the server's code for those who can make something of it.

    Parameters
    ----------
    message : str
        What happened.
    hint : str, optional
        What to do.
    code : str, optional
        S3's error code, empty if there was no answer.
    status : int, optional
        The HTTP status, 0 if there was no answer.
    headers : mapping, optional
        Of the answer.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        code: str = "",
        status: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.status = status
        self.headers = dict(headers or {})


class S3AwayError(S3Error, StoreAwayError):
    """No answer, or one that says to come back later."""


@contextmanager
def explain_s3_errors(
    settings: S3Settings, action: str, object_path: str | None = None
) -> Iterator[None]:
    """Turn what boto3 raises in the block into a StoreError with a hint.

    Parameters
    ----------
    settings : S3Settings
        Where it happens; named in the message.
    action : str
        What is being done, as in ``"store"`` or ``"read"``.
    object_path : str, optional
        What it is done to.

    Raises
    ------
    S3Error
        In place of what boto3 raised, which is kept as its cause.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError
    from urllib3.exceptions import HTTPError

    place = f"{object_path} in {settings.describe()}" if object_path else settings.describe()
    try:
        yield
    except ClientError as error:
        raise _of_answer(error, f"Could not {action} {place}", settings) from error
    except (BotoCoreError, HTTPError, ResponseParserError, OSError, RecursionError) as error:
        what, hint = _of_exception(error)
        network = any(cause.__name__ in _NETWORK for cause in type(error).__mro__)
        # a certificate or a key is to be mended first, though they are met on the way there
        kind = S3AwayError if network and hint == _PLACE else S3Error
        raise kind(f"Could not {action} {place}: {what}.", hint=hint) from error


def _of_answer(error: Any, start: str, settings: S3Settings) -> S3Error:
    answer = error.response.get("ResponseMetadata", {})
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(answer.get("HTTPStatusCode", 0))
    known = _CODES.get(code) or _CODES.get(str(status))
    if known is None and status >= 500:
        known = (f"the server has a fault ({code or status})", _BUSY)
    if known is None:
        said = _without_keys(str(error.response.get("Error", {}).get("Message", "")), settings)
        known = (f"{code or status} {said[:200]}".strip().rstrip("."), _PLACE)
    kind = S3AwayError if known[1] == _BUSY else S3Error
    return kind(
        f"{start}: {known[0]}.",
        hint=known[1],
        code=code,
        status=status,
        headers=answer.get("HTTPHeaders", {}),
    )


def _of_exception(error: Exception) -> tuple[str, str]:
    text = str(getattr(error, "kwargs", {}).get("error", "")) or str(error)
    if "maximum recursion" in text:
        return _CLASSES["RecursionError"]
    if "CERTIFICATE" in text.upper() or "SSL" in type(error).__name__:
        return _CLASSES["SSLError"]
    for cause in type(error).__mro__:
        if cause.__name__ in _CLASSES:
            return _CLASSES[cause.__name__]
    if "resolve" in text or "getaddrinfo" in text or "Name or service" in text:
        return "no server of that name is known", _PLACE
    if "refused" in text:
        return "the connection is refused; no S3 server listens there", _PLACE
    return f"it cannot be reached ({type(error).__name__})", _PLACE


def _without_keys(text: str, settings: S3Settings) -> str:
    for secret in (settings.access_key, settings.secret_key):
        text = text.replace(secret, "**********") if secret else text
    return text
