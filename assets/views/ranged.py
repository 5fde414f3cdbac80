"""A file over HTTP with conditions and one range (RFC 9110): what a <video> needs to seek."""

import os
import re
from datetime import datetime
from typing import BinaryIO

from django.http import FileResponse, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import http_date

# More digits than any file has bytes would cost time, and are not understood.
_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.IGNORECASE)
_BLOCK_BYTES = 256 * 1024


class Unsatisfiable(Exception):  # noqa: N818 (named by the standard)
    """A well-formed range that has no byte of the file."""


def ranged_response(
    request: HttpRequest, file: BinaryIO, *, content_type: str, modified_at: datetime
) -> HttpResponseBase:
    """The file or the part asked for (200, 206), or why neither (304, 412, 416).

    Takes any seekable file, and closes it.
    """
    size = file.seek(0, os.SEEK_END)
    modified = modified_at.timestamp()
    etag = f'"{int(modified * 1_000_000):x}-{size:x}"'
    response = get_conditional_response(request, etag, int(modified))
    if response is None:
        span = _span(request, size, validators=(etag, http_date(modified)))
        response = _content(request, file, size, span, content_type)
    if not isinstance(response, FileResponse):
        file.close()
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = etag
    response["Last-Modified"] = http_date(modified)
    return response


def _span(request: HttpRequest, size: int, *, validators: tuple[str, str]) -> range | None:
    """The bytes asked for; None for the whole file, an empty range when they are none of its."""
    header = request.headers.get("Range", "")
    # A part of a file that has changed since would not fit the parts fetched before.
    unchanged = request.headers.get("If-Range", validators[0]) in validators
    if request.method != "GET" or not unchanged:
        return None
    try:
        return parse_range(header, size)
    except Unsatisfiable:
        return range(0)


def parse_range(header: str, size: int) -> range | None:
    """The bytes that a Range header selects of a file; None where the header is to be ignored.

    Several ranges are ignored, as the standard allows: no player asks for them.
    """
    match = _RANGE.fullmatch(header)
    if not match or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return _suffix(int(last), size)
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise Unsatisfiable
    return range(int(first), min(int(last) + 1, size) if last else size)


def _suffix(length: int, size: int) -> range | None:
    if length == 0:
        raise Unsatisfiable
    # An empty file has a last part, itself, but no Content-Range can say so.
    return range(max(size - length, 0), size) if size else None


def _content(
    request: HttpRequest, file: BinaryIO, size: int, span: range | None, content_type: str
) -> HttpResponseBase:
    if span is not None and not span:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    part = range(size) if span is None else span
    headers = {"Content-Length": str(len(part))}
    if request.method == "HEAD":
        return HttpResponse(content_type=content_type, headers=headers)
    if span is not None:
        headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{size}"
    response = FileResponse(
        _Part(file, part), status=200 if span is None else 206, content_type=content_type, headers=headers
    )
    response.block_size = _BLOCK_BYTES
    return response


class _Part:
    """Reads some consecutive bytes of a file, and closes it."""

    def __init__(self, file: BinaryIO, part: range) -> None:
        file.seek(part.start)
        self._file = file
        self._left = len(part)

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._file.close()
