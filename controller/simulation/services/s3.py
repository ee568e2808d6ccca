"""One S3 bucket behind the `Aws` port, for what this project asks of it.

Emulated: put, get with a range, multipart uploads with their order and smallest part, and the errors of a missing
object, bucket or upload and of a range behind the end. Not emulated: versions, conditions, listings, access control.
"""

from __future__ import annotations

import re
from typing import Any

from controller.simulation.services.service import Simulated, refused

SMALLEST_PART = 5 * 1024 * 1024


class SimulatedS3(Simulated):
    service = "s3"

    def __init__(self, bucket: str = "bucket") -> None:
        super().__init__()
        self._bucket = bucket
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self._number = 0

    def _put_object(self, Bucket: str, Key: str, Body: bytes) -> None:
        self._check(Bucket)
        self.objects[Key] = Body

    def _get_object(self, Bucket: str, Key: str, Range: str = "") -> dict[str, Any]:
        self._check(Bucket)
        if Key not in self.objects:
            raise refused("NoSuchKey", "The specified key does not exist.")
        body = self.objects[Key]
        if found := re.fullmatch("bytes=([0-9]+)-([0-9]+)", Range):
            begin, last = int(found[1]), int(found[2])
            if begin >= len(body) or last < begin:
                raise refused("InvalidRange", "The requested range is not satisfiable")
            body = body[begin : last + 1]
        return {"Body": body}

    def _create_multipart_upload(self, Bucket: str, Key: str) -> dict[str, Any]:
        self._check(Bucket)
        self._number += 1
        self.uploads[f"upload-{self._number}"] = {}
        return {"UploadId": f"upload-{self._number}"}

    def _upload_part(
        self, Bucket: str, Key: str, UploadId: str, PartNumber: int, Body: bytes
    ) -> dict[str, Any]:
        self._upload(UploadId)[PartNumber] = Body
        return {"ETag": f"etag-{PartNumber}", "ChecksumCRC32": f"crc-{PartNumber}"}

    def _complete_multipart_upload(
        self, Bucket: str, Key: str, UploadId: str, MultipartUpload: dict[str, Any]
    ) -> None:
        parts = self._upload(UploadId)
        expected = [
            {"PartNumber": number, "ETag": f"etag-{number}", "ChecksumCRC32": f"crc-{number}"}
            for number in parts
        ]
        if MultipartUpload["Parts"] != expected:
            raise refused("InvalidPart")
        if any(len(part) < SMALLEST_PART for part in list(parts.values())[:-1]):
            raise refused("EntityTooSmall")
        self.objects[Key] = b"".join(parts.values())
        del self.uploads[UploadId]

    def _abort_multipart_upload(self, Bucket: str, Key: str, UploadId: str) -> None:
        self._upload(UploadId)
        del self.uploads[UploadId]

    def _upload(self, upload: str) -> dict[int, bytes]:
        if upload not in self.uploads:
            raise refused("NoSuchUpload")
        return self.uploads[upload]

    def _check(self, bucket: str) -> None:
        if bucket != self._bucket:
            raise refused("NoSuchBucket", "The specified bucket does not exist")
