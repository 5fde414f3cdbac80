"""Writing an object: in one piece or in parts, each of which the service compares with its checksum."""

import contextlib
import hashlib
from collections.abc import Iterator
from itertools import chain
from typing import Any, BinaryIO, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from assets.formats import SNIFF_BYTES, sniff
from assets.stores.answers import CHANGING, told
from assets.stores.clients import md5_header
from assets.stores.faults import FileFault
from assets.stores.objects import Object
from assets.stores.place import plain_md5

PART_BYTES = 16 * 1024**2  # of at most 10,000 parts
MOST_AT_ONCE = PART_BYTES  # what is smaller is sent in one piece


class Uploaded(NamedTuple):
    size: int  # bytes
    sha256: str  # hexadecimal
    etag: str


def described(head: bytes) -> dict[str, str]:
    """How the service is to send it by itself: by its bytes, and to nobody else."""
    known = sniff(head[:SNIFF_BYTES])
    return {
        "ContentType": known.mime if known else "application/octet-stream",
        "CacheControl": "private",
    }


def upload(file: BinaryIO, target: Object, sha256: str = "") -> Uploaded:
    """All of the file, seen to be there; where its checksum is given, of these bytes alone."""
    file.seek(0)
    first = file.read(MOST_AT_ONCE)
    rest = file.read(1) if len(first) == MOST_AT_ONCE else b""
    with told(CHANGING):
        if rest:
            parts = chain([first], _parts(rest, file))
            sent = _in_parts(parts, target, described(first), sha256)
        else:
            sent = _at_once(first, target, described(first), sha256)
    return _as_it_is(sent, target)


def _parts(start: bytes, file: BinaryIO) -> Iterator[bytes]:
    while content := start + file.read(PART_BYTES - len(start)):
        start = b""
        yield content


def _at_once(content: bytes, target: Object, how: dict[str, str], sha256: str) -> Uploaded:
    digest = _expected(hashlib.sha256(content), sha256)
    target.client.put_object(**target.names, **how, Body=content, ContentMD5=md5_header(content))
    return Uploaded(len(content), digest, plain_md5(content).hexdigest())


def _in_parts(parts: Iterator[bytes], target: Object, how: dict[str, str], sha256: str) -> Uploaded:
    upload_id = target.client.create_multipart_upload(**target.names, **how)["UploadId"]
    try:
        return _finish(_send(parts, target, upload_id), target, upload_id, sha256)
    except BaseException:
        # Parts that nobody puts together would be paid for without end.
        with contextlib.suppress(BotoCoreError, ClientError):
            target.client.abort_multipart_upload(**target.names, UploadId=upload_id)
        raise


class _Sent(NamedTuple):
    size: int
    digest: Any
    md5s: bytes
    parts: list[dict[str, Any]]


def _send(parts: Iterator[bytes], target: Object, upload_id: str) -> _Sent:
    size, digest, md5s, sent = 0, hashlib.sha256(), b"", []
    for number, content in enumerate(parts, 1):
        answer = target.client.upload_part(
            **target.names,
            UploadId=upload_id,
            PartNumber=number,
            Body=content,
            ContentMD5=md5_header(content),
        )
        sent.append({"ETag": answer["ETag"], "PartNumber": number})
        size += len(content)
        digest.update(content)
        md5s += plain_md5(content).digest()
    return _Sent(size, digest, md5s, sent)


def _finish(sent: _Sent, target: Object, upload_id: str, sha256: str) -> Uploaded:
    digest = _expected(sent.digest, sha256)
    target.client.complete_multipart_upload(
        **target.names, UploadId=upload_id, MultipartUpload={"Parts": sent.parts}
    )
    return Uploaded(sent.size, digest, f"{plain_md5(sent.md5s).hexdigest()}-{len(sent.parts)}")


def _expected(digest: Any, sha256: str) -> str:
    """Before the object appears: what differs must not take the place of what is there."""
    if sha256 and digest.hexdigest() != sha256:
        raise FileFault("The file was changed while it was read")
    return digest.hexdigest()


def _as_it_is(sent: Uploaded, target: Object) -> Uploaded:
    """Looked at once more; a service that encrypts has ETags of its own, and then all is read again."""
    facts = target.facts()
    etag = facts["ETag"].strip('"')
    if facts["ContentLength"] != sent.size or (etag != sent.etag and target.sha256() != sent.sha256):
        raise FileFault("The copy differs from the file")
    return sent._replace(etag=etag)
