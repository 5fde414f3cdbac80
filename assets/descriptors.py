"""A file as the descriptor that another process reads; one that is elsewhere is fetched, within limits."""

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import BinaryIO, cast

from assets.storage import FileFault, StoreTrouble

logger = logging.getLogger(__name__)

MAX_COPIED_BYTES = 512 * 1024**2


@contextlib.contextmanager
def descriptor_of(source: BinaryIO) -> Iterator[int]:
    """A descriptor of the same bytes: of the file itself, or of a copy where it has none."""
    try:
        descriptor = source.fileno()
    except (AttributeError, OSError):
        if source.seek(0, os.SEEK_END) > MAX_COPIED_BYTES:
            raise FileFault("The file is too large to be fetched for a look") from None
        with tempfile.TemporaryFile() as copy:
            _fetch(source, cast(BinaryIO, copy))
            yield copy.fileno()
        return
    # The child shares the position, and the reader above it must not notice.
    position = os.lseek(descriptor, 0, os.SEEK_CUR)
    try:
        yield descriptor
    finally:
        os.lseek(descriptor, position, os.SEEK_SET)


def _fetch(source: BinaryIO, copy: BinaryIO) -> None:
    source.seek(0)
    try:
        shutil.copyfileobj(source, copy)
        copy.flush()
    except OSError as error:
        logger.error("A file was not fetched for the decoder", exc_info=error)
        raise StoreTrouble("There is no room here to fetch the file") from None
