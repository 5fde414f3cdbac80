"""One object of a bucket as a file: read in parts, each asked for anew when the connection breaks."""

import contextlib
import hashlib
import io
from typing import Any, NamedTuple

from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError

from assets.stores.answers import READING, code_of, told
from assets.stores.faults import FileFault, MissingFile

FIRST_BYTES = 64 * 1024  # enough for headers
PART_BYTES = 8 * 1024**2
TRIES = 3
BUFFER_BYTES = 64 * 1024


class Part(NamedTuple):
    content: bytes
    size: int  # bytes of the whole object
    etag: str


class Object(NamedTuple):
    client: Any
    bucket: str
    key: str  # with the prefix

    @property
    def names(self) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.key}

    def facts(self) -> dict[str, Any]:
        """The answer to HEAD; FileFault where there is none."""
        with told(READING):
            try:
                return self.client.head_object(**self.names)
            except ClientError as error:
                if code_of(error) != "404":
                    raise
        # An answer without a body does not tell a missing file from a missing bucket.
        self.part(0, 1)
        raise MissingFile("The file is missing from the store")

    def part(self, start: int, stop: int, etag: str = "") -> Part:
        """These bytes, as far as there are; of this version where one is given."""
        wanted = (
            self.names | {"Range": f"bytes={start}-{stop - 1}"} | ({"IfMatch": f'"{etag}"'} if etag else {})
        )
        with told(READING):
            for tries_left in reversed(range(TRIES)):
                answer = self._answer(wanted)
                try:
                    return _part(answer) if answer else self._empty()
                except (HTTPClientError, IncompleteReadError):
                    # The client tries again what is not answered, but not what breaks off within an answer.
                    if not tries_left:
                        raise
        raise AssertionError("Every try returns or raises")

    def _answer(self, wanted: dict[str, str]) -> dict[str, Any] | None:
        """None where there are no such bytes."""
        try:
            return self.client.get_object(**wanted)
        except ClientError as error:
            if code_of(error) not in ("InvalidRange", "416"):
                raise
            return None

    def _empty(self) -> Part:
        """An object without bytes has no range either."""
        answer = self.client.head_object(**self.names)
        if answer["ContentLength"]:
            raise FileFault("The file was changed while it was read")
        return Part(b"", 0, answer["ETag"].strip('"'))

    def sha256(self) -> str:
        with self.open() as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]

    def open(self) -> io.BufferedReader:
        return io.BufferedReader(ObjectFile(self), BUFFER_BYTES)


def _part(answer: dict[str, Any]) -> Part:
    with contextlib.closing(answer["Body"]) as body:
        if "ContentRange" not in answer:
            raise FileFault("The store does not send parts of a file")
        content = body.read()
    return Part(content, int(answer["ContentRange"].rpartition("/")[2]), answer["ETag"].strip('"'))


class ObjectFile(io.RawIOBase):
    """All parts are of the version that was opened: where another takes its place, reading fails."""

    def __init__(self, source: Object) -> None:
        self._source = source
        self._part = source.part(0, FIRST_BYTES)
        self._start = self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._part.size}[whence]
        if base + offset < 0:
            raise ValueError("There is nothing before the first byte")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        if self._position >= self._part.size:
            return 0
        if not self._start <= self._position < self._start + len(self._part.content):
            self._load()
        offset = self._position - self._start
        content = memoryview(self._part.content)[offset : offset + len(buffer)]
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def _load(self) -> None:
        stop = min(self._position + PART_BYTES, self._part.size)
        part = self._source.part(self._position, stop, self._part.etag)
        if len(part.content) != stop - self._position:
            raise FileFault("The store sent less of the file than it was asked for")
        self._part, self._start = part, self._position
