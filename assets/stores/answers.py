"""What the answers of an S3 service mean, and what it means that there is none, in words for people."""

import contextlib
from collections.abc import Iterator

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)

from assets.stores.faults import FileFault, MissingFile, StoreTrouble

READING, CHANGING = "reading", "changing"

_MISSING = {"NoSuchKey", "404", "NotFound"}
_DENIED = {
    "AccessDenied",
    "403",
    "Forbidden",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "AllAccessDisabled",
}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestTimeTooSkewed", "TokenRefreshRequired"}
_CHANGED = {"PreconditionFailed", "412"}
_BUSY = {"SlowDown", "Throttling", "ThrottlingException", "RequestTimeout", "TooManyRequests", "429"}


@contextlib.contextmanager
def told(doing: str) -> Iterator[None]:
    """Whatever goes wrong with the service is a FileFault."""
    try:
        yield
    except ClientError as error:
        raise fault_of(code_of(error), doing, status_of(error)) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise FileFault("The store has been given no keys to come in with") from error
    except ParamValidationError as error:
        raise _unable(doing) from error
    except BotoCoreError as error:
        raise StoreTrouble("The store does not answer") from error


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def fault_of(code: str, doing: str, status: int = 0) -> FileFault:
    if code in _MISSING:
        return MissingFile("The file is missing from the store")
    if code == "NoSuchBucket":
        return FileFault("The store's bucket does not exist")
    if code in _DENIED:
        return FileFault(f"The store does not allow {doing} the file")
    if code in _EXPIRED:
        return StoreTrouble("The store no longer accepts the keys that it is asked with, or the time here")
    if code in _CHANGED:
        return StoreTrouble("The file was changed while it was read")
    if code in _BUSY or (code.isdigit() and int(code) >= 500) or status >= 500:
        return StoreTrouble("The store is too busy, or out of order")
    return _unable(doing, code)


def _unable(doing: str, code: str = "") -> FileFault:
    verb = "read" if doing == READING else "change"
    return FileFault(f"The store cannot {verb} the file{f' ({code})' if code else ''}")
