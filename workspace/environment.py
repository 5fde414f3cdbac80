"""Reads the environment, and stops the start with a sentence when a value is wrong."""

import contextlib
import os
import re
import secrets
import tempfile
from collections.abc import Collection
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"  # of a host's name
_MOST_PORT = 65_535


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, "").strip() or default


def flag(name: str, default: bool = False) -> bool:
    value = text(name).lower()
    if not value:
        return default
    if value in _TRUE | _FALSE:
        return value in _TRUE
    raise ImproperlyConfigured(f"{name} is {value!r}: write 1 or 0.")


def integer(name: str, default: int, *, minimum: int, maximum: int) -> int:
    value = text(name)
    if not value:
        return default
    try:
        number = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {value!r}: write a whole number.") from None
    if not minimum <= number <= maximum:
        raise ImproperlyConfigured(f"{name} is {number}: it must be from {minimum} to {maximum}.")
    return number


def choice(name: str, default: str, choices: Collection[str]) -> str:
    value = text(name, default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name} is {value!r}: choose one of {', '.join(choices)}.")
    return value


def identifier(name: str, default: str) -> str:
    """An SQL name that needs no quoting, since it also stands in connection options."""
    value = text(name, default)
    plain = value.replace("_", "a")
    if value and not (
        plain.isascii() and plain.isalnum() and plain == plain.lower() and not plain[0].isdigit()
    ):
        raise ImproperlyConfigured(f"{name} is {value!r}: use small letters, digits and underscores.")
    return value


def items(name: str, default: str = "") -> list[str]:
    return [item.strip() for item in text(name, default).split(",") if item.strip()]


def folder(name: str, default: Path) -> Path:
    path = Path(text(name, str(default))).expanduser().absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(f"{name} is {str(path)!r}: {error.strerror}.") from None
    if not os.access(path, os.W_OK):
        raise ImproperlyConfigured(f"{name} is {str(path)!r}: this user may not write there.")
    return path


def kept_secret(path: Path, length: int = 48) -> str:
    """The secret in a file, made on first use of so many random bytes; readable by its owner alone."""
    if not path.exists():
        # Whole or not at all: another process that starts meanwhile must not read half of it.
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # of mode 0600
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(length))
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
        finally:
            Path(draft).unlink()
    return path.read_text().strip()


def web_address(name: str, *, may_have_path: bool = False) -> str:
    """Such as https://s3.example.com:9000; where services are behind a path, https://example.com/storage/s3."""
    value = text(name).rstrip("/")
    host = rf"https?://({_LABEL}(\.{_LABEL})*\.?|\[[0-9a-fA-F:.]+\])(:(?P<port>[0-9]{{1,5}}))?"
    path = r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*" if may_have_path else ""
    match = re.fullmatch(host + path, value)
    if value and (match is None or int(match["port"] or 0) > _MOST_PORT):
        raise ImproperlyConfigured(f"{name} is {value!r}: write an address such as https://host.example.com.")
    return value
