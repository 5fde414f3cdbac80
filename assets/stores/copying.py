"""Copying within an S3 service: it moves the bytes itself, and what came of it is made sure of."""

import contextlib
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from assets.formats import SNIFF_BYTES
from assets.stores.answers import CHANGING, told
from assets.stores.faults import FileFault
from assets.stores.objects import Object, Part
from assets.stores.uploads import described

MOST_AT_ONCE = 5 * 1024**3  # bytes that the service copies in one request
PART_BYTES = 512 * 1024**2


class CopiedObject(NamedTuple):
    size: int  # bytes
    sha256: str  # hexadecimal; empty where the service's own word was enough
    etag: str


def copy_object(source: Object, target: Object) -> CopiedObject:
    """One that turns out to differ stays, named by nobody: by now another may have put a good one there."""
    head = source.part(0, SNIFF_BYTES)
    # From here on it is of this version, or not at all.
    origin = {
        "CopySource": {"Bucket": source.bucket, "Key": source.key},
        "CopySourceIfMatch": f'"{head.etag}"',
    }
    how = described(head.content)
    with told(CHANGING):
        if head.size > MOST_AT_ONCE:
            _copy_in_parts(origin, how, head.size, target)
        else:
            target.client.copy_object(**target.names, **origin, **how, MetadataDirective="REPLACE")
    return _verified(head, source, target)


def _copy_in_parts(origin: dict[str, Any], how: dict[str, str], size: int, target: Object) -> None:
    upload_id = target.client.create_multipart_upload(**target.names, **how)["UploadId"]
    try:
        parts = []
        for number, start in enumerate(range(0, size, PART_BYTES), 1):
            span = f"bytes={start}-{min(start + PART_BYTES, size) - 1}"
            answer = target.client.upload_part_copy(
                **target.names, **origin, UploadId=upload_id, PartNumber=number, CopySourceRange=span
            )
            parts.append({"ETag": answer["CopyPartResult"]["ETag"], "PartNumber": number})
        target.client.complete_multipart_upload(
            **target.names, UploadId=upload_id, MultipartUpload={"Parts": parts}
        )
    except BaseException:
        # Parts that nobody puts together would be paid for without end.
        with contextlib.suppress(BotoCoreError, ClientError):
            target.client.abort_multipart_upload(**target.names, UploadId=upload_id)
        raise


def _verified(head: Part, source: Object, target: Object) -> CopiedObject:
    facts = target.facts()
    etag = facts["ETag"].strip('"')
    if facts["ContentLength"] != head.size:
        raise FileFault("The copy differs from the file")
    if etag == head.etag and "-" not in etag:  # the checksum of all its bytes
        return CopiedObject(head.size, "", etag)
    # Sent in parts, or encrypted: what an ETag then says of the bytes, only the service knows.
    sha256 = target.sha256()
    if source.sha256() != sha256:
        raise FileFault("The copy differs from the file")
    return CopiedObject(head.size, sha256, etag)
