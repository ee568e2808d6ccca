"""Objects of one bucket, through the `Aws` port. All raise AwsError."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from runner.aws import Aws, AwsError, Reply

MIB = 1024 * 1024
# Beyond this an object goes up in parts, so that no more than a part is ever in memory.
LARGEST_PUT = 16 * MIB
SMALLEST_PART = 8 * MIB
MOST_PARTS = 10_000

MISSING = frozenset({"NoSuchKey", "404"})
BEHIND_THE_END = frozenset({"InvalidRange", "416"})


class Bucket:
    def __init__(self, aws: Aws, name: str) -> None:
        self._aws = aws
        self.name = name

    def url(self, key: str) -> str:
        return f"s3://{self.name}/{key}"

    async def get(self, key: str, begin: int | None = None, length: int = 0) -> bytes | None:
        """All of an object, or up to `length` bytes from `begin`, none if it ends before; None: no such object."""
        span = {} if begin is None else {"Range": f"bytes={begin}-{begin + length - 1}"}
        try:
            reply = await self._call("get_object", Key=key, **span)
        except AwsError as error:
            if error.code in MISSING:
                return None
            if error.code in BEHIND_THE_END:
                return b""
            raise
        body: bytes = reply["Body"]
        return body

    async def put(self, key: str, data: bytes) -> None:
        await self._call("put_object", Key=key, Body=data)

    async def put_file(self, key: str, path: str) -> None:
        """A file that does not change any more. Raises OSError for one that cannot be read."""
        size = os.stat(path).st_size
        if size <= LARGEST_PUT:
            await self.put(key, _read(path, 0, size))
        else:
            await self._put_parts(key, _parts(path, size))

    async def _put_parts(self, key: str, parts: Iterator[bytes]) -> None:
        upload = (await self._call("create_multipart_upload", Key=key))["UploadId"]
        try:
            sent: Sequence[Reply] = [
                await self._put_part(key, upload, number, part) for number, part in enumerate(parts, start=1)
            ]
            await self._call(
                "complete_multipart_upload", Key=key, UploadId=upload, MultipartUpload={"Parts": sent}
            )
        except BaseException:
            # Parts of an upload that was neither completed nor aborted are stored, and paid for, unseen.
            with suppress(AwsError):
                await self._call("abort_multipart_upload", Key=key, UploadId=upload)
            raise

    async def _put_part(self, key: str, upload: str, number: int, part: bytes) -> Reply:
        reply = await self._call("upload_part", Key=key, UploadId=upload, PartNumber=number, Body=part)
        # An upload with checksums, which newer clients ask for by themselves, is completed with those of its parts.
        marks = {
            name: value for name, value in reply.items() if name == "ETag" or name.startswith("Checksum")
        }
        return {"PartNumber": number, **marks}

    async def _call(self, operation: str, **parameters: Any) -> Reply:
        return await self._aws.call("s3", operation, Bucket=self.name, **parameters)


def _parts(path: str, size: int) -> Iterator[bytes]:
    each = max(SMALLEST_PART, -(-size // MOST_PARTS))
    for begin in range(0, size, each):
        yield _read(path, begin, each)


def _read(path: str, begin: int, length: int) -> bytes:
    """Without a thread: what was written a moment ago comes out of memory."""
    with open(path, "rb", buffering=0) as file:
        return os.pread(file.fileno(), length, begin)
