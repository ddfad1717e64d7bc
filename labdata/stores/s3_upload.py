"""One file on its way into a bucket: read once, checked part by part, resumed where it was.

The server checks every part by its MD5 (and, over plain HTTP, the SHA-256 of the signature), the
whole appears at once when the parts are joined, and only if its path is free. The MD5 of what was
sent is then compared with the ETag that the server gives the object: MD5 of the parts' MD5, which
is what S3 servers make of it.

What a killed upload has sent is found again from any computer: a small record, named by the path
and the content, holds the number that the server gave the upload. A part counts as sent if the
server's MD5 of it is that of the bytes here.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from labdata.errors import IntegrityError, StoreError
from labdata.progress import Progress
from labdata.stores.paths import PARTIAL_PREFIX
from labdata.stores.s3_client import code_of

#: Smallest part; an object has at most 10,000 of them.
PART_BYTES = 8 * 1024 * 1024
MAX_PARTS = 10_000
#: Parts on their way at once.
N_WORKERS = 4
#: Parts that are held in memory have at most so many bytes together, or are two.
_HELD_BYTES = 128 * 1024 * 1024
#: Key of the metadata that holds the SHA-256 of the whole.
SHA256_KEY = "labdata-sha256"
PART_KEY = "labdata-part-bytes"


@dataclass(frozen=True)
class Sent:
    """What was sent.

    Attributes
    ----------
    size_bytes : int
        Length of the object.
    sha256 : str
        Of the bytes that were read.
    etag : str
        What the server must say of them.
    """

    size_bytes: int
    sha256: str
    etag: str


def part_bytes_of(size_bytes: int) -> int:
    """Return the length of the parts in which an object of a size is sent.

    Parameters
    ----------
    size_bytes : int
        Of the object.
    """
    least = -(-size_bytes // MAX_PARTS)
    return max(PART_BYTES, -(-least // PART_BYTES) * PART_BYTES)


class Upload:
    """One file to one key.

    Parameters
    ----------
    client : botocore client
        Of the server.
    bucket, key : str
        Where to.
    reader : binary file
        The content, at its start.
    size_bytes : int
        Its length.
    sha256 : str
        What the content must hash to.
    """

    def __init__(
        self, client: Any, bucket: str, key: str, reader: BinaryIO, size_bytes: int, sha256: str
    ) -> None:
        self._client, self._reader, self._sha256 = client, reader, sha256
        self._place = {"Bucket": bucket, "Key": key}
        self._size_bytes, self._part_bytes = size_bytes, part_bytes_of(size_bytes)
        identity = hashlib.sha256(f"{key}\n{sha256}".encode()).hexdigest()
        folder = key.rpartition("/")[0]
        name = f"{PARTIAL_PREFIX}upload-{identity[:32]}"
        self._record = {"Bucket": bucket, "Key": f"{folder}/{name}" if folder else name}

    def send(self, progress: Progress) -> Sent:
        """Send all of it; nothing is seen under the key before, and nothing replaced.

        Parameters
        ----------
        progress : Progress
            Told the bytes of each part.

        Returns
        -------
        Sent

        Raises
        ------
        IntegrityError
            If the content is not what its SHA-256 says; then nothing is under the key.
        botocore.exceptions.ClientError
            If the server refuses, also because the key is taken.
        """
        if self._size_bytes <= self._part_bytes:
            return self._send_small(progress)
        return self._send_parts(progress)

    def _metadata(self) -> dict[str, str]:
        return {SHA256_KEY: self._sha256, PART_KEY: str(self._part_bytes)}

    def _send_small(self, progress: Progress) -> Sent:
        data = _read_exactly(self._reader, self._size_bytes)
        found = hashlib.sha256(data).hexdigest()
        self._require(found)
        md5 = hashlib.md5(data, usedforsecurity=False)
        self._client.put_object(
            **self._place,
            Body=data,
            ContentMD5=base64.b64encode(md5.digest()).decode(),
            Metadata=self._metadata(),
            IfNoneMatch="*",
        )
        progress(len(data))
        return Sent(len(data), found, md5.hexdigest())

    def _send_parts(self, progress: Progress) -> Sent:
        upload_id, there = self._begin()
        whole, md5s = hashlib.sha256(), []
        etags: list[dict[str, Any]] = []
        waiting: deque[Future[dict[str, Any]]] = deque()
        held = max(2, min(2 * N_WORKERS, _HELD_BYTES // self._part_bytes))
        with ThreadPoolExecutor(N_WORKERS, thread_name_prefix="labdata-s3") as pool:
            try:
                for number, data in self._parts():
                    whole.update(data)
                    md5 = hashlib.md5(data, usedforsecurity=False)
                    md5s.append(md5.digest())
                    known = there.get(number)
                    if known == (md5.hexdigest(), len(data)):
                        etags.append({"PartNumber": number, "ETag": f'"{md5.hexdigest()}"'})
                        progress(len(data))
                        continue
                    waiting.append(
                        pool.submit(self._send_part, upload_id, number, data, md5, progress)
                    )
                    if len(waiting) >= held:
                        etags.append(waiting.popleft().result())
                etags += [future.result() for future in waiting]
            finally:
                for future in waiting:
                    future.cancel()
        if whole.hexdigest() != self._sha256:
            self._client.abort_multipart_upload(**self._place, UploadId=upload_id)
            self._client.delete_object(**self._record)
            self._require(whole.hexdigest())
        etags.sort(key=lambda part: int(part["PartNumber"]))
        self._client.complete_multipart_upload(
            **self._place,
            UploadId=upload_id,
            MultipartUpload={"Parts": etags},
            IfNoneMatch="*",
        )
        self._client.delete_object(**self._record)
        joined = hashlib.md5(b"".join(md5s), usedforsecurity=False).hexdigest()
        return Sent(self._size_bytes, whole.hexdigest(), f"{joined}-{len(md5s)}")

    def give_up(self) -> None:
        """Remove what was sent of an upload whose key is another's."""
        found = self._find_record()
        if found:
            self._client.abort_multipart_upload(**self._place, UploadId=found)
        self._client.delete_object(**self._record)

    def _begin(self) -> tuple[str, dict[int, tuple[str, int]]]:
        """Return the upload's number, a killed one's if there is one, and the parts it has."""
        from botocore.exceptions import ClientError

        found = self._find_record()
        if found:
            try:
                return found, self._parts_there(found)
            except ClientError as error:
                if code_of(error) not in ("NoSuchUpload", "404"):
                    raise
        made = self._client.create_multipart_upload(**self._place, Metadata=self._metadata())
        upload_id = str(made["UploadId"])
        record = {"upload_id": upload_id, "part_bytes": self._part_bytes, **self._place}
        self._client.put_object(**self._record, Body=json.dumps(record).encode())
        return upload_id, {}

    def _find_record(self) -> str | None:
        from botocore.exceptions import ClientError

        try:
            record = json.loads(self._client.get_object(**self._record)["Body"].read())
        except ClientError as error:
            if code_of(error) in ("NoSuchKey", "404"):
                return None
            raise
        except ValueError:
            return None
        same = record.get("part_bytes") == self._part_bytes and record["Key"] == self._place["Key"]
        return str(record["upload_id"]) if same else None

    def _parts_there(self, upload_id: str) -> dict[int, tuple[str, int]]:
        found = {}
        pages = self._client.get_paginator("list_parts").paginate(
            **self._place, UploadId=upload_id
        )
        for page in pages:
            for part in page.get("Parts", ()):
                found[int(part["PartNumber"])] = (part["ETag"].strip('"'), int(part["Size"]))
        return found

    def _send_part(
        self, upload_id: str, number: int, data: bytes, md5: Any, progress: Progress
    ) -> dict[str, Any]:
        answer = self._client.upload_part(
            **self._place,
            UploadId=upload_id,
            PartNumber=number,
            Body=data,
            ContentMD5=base64.b64encode(md5.digest()).decode(),
        )
        progress(len(data))
        return {"PartNumber": number, "ETag": answer["ETag"]}

    def _parts(self) -> Iterator[tuple[int, bytes]]:
        left_bytes, number = self._size_bytes, 0
        while left_bytes:
            number += 1
            data = _read_exactly(self._reader, min(left_bytes, self._part_bytes))
            left_bytes -= len(data)
            yield number, data

    def _require(self, found: str) -> None:
        if found != self._sha256:
            raise IntegrityError(
                f"The file to store as {self._place['Key']} has SHA-256 {found}, and "
                f"{self._sha256} is on record.",
                hint="Its content differs from what was recorded; do not use it, find another "
                "copy.",
            )


def etag_of_file(path: str | os.PathLike[str], part_bytes: int) -> str:
    """Return the ETag that a server gives an object of a file's content, sent in such parts.

    Parameters
    ----------
    path : path
        The file.
    part_bytes : int
        Length of the parts; a shorter file is sent whole.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    md5s = []
    with Path(path).open("rb") as reader:
        while data := reader.read(part_bytes):
            md5s.append(hashlib.md5(data, usedforsecurity=False))
    if len(md5s) <= 1:
        return md5s[0].hexdigest() if md5s else hashlib.md5(usedforsecurity=False).hexdigest()
    joined = hashlib.md5(b"".join(m.digest() for m in md5s), usedforsecurity=False)
    return f"{joined.hexdigest()}-{len(md5s)}"


def _read_exactly(reader: BinaryIO, size_bytes: int) -> bytes:
    data = reader.read(size_bytes)
    if len(data) != size_bytes:
        raise StoreError(
            f"A file ended {size_bytes - len(data)} bytes before its size while it was stored.",
            hint="Wait until nothing writes to it, then repeat.",
        )
    return data
