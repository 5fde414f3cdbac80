"""The stores by URL, file:///… or s3://bucket/prefix, as entries of Django's STORAGES."""

import re
from itertools import combinations
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from workspace import environment as env

FOLDER = "django.core.files.storage.FileSystemStorage"
BUCKET = "assets.stores.clients.BucketStorage"

_BUCKET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()/-]*")  # what every service takes, and needs no spelling out


class Place(NamedTuple):
    variable: str
    bucket: str  # empty of a folder
    path: PurePosixPath  # of the folder, or the prefix in the bucket

    @property
    def real_path(self) -> PurePath:
        """Where links lead: a folder may be another's under two names."""
        return self.path if self.bucket else Path(self.path).resolve()

    @property
    def storage(self) -> dict[str, Any]:
        if not self.bucket:
            return {"BACKEND": FOLDER, "OPTIONS": {"location": Path(self.path)}}
        prefix = str(self.path).strip("/")
        return {"BACKEND": BUCKET, "OPTIONS": {"bucket_name": self.bucket, "location": prefix} | service()}

    @property
    def browser_source(self) -> str:
        """Where browsers are sent for its files, as a policy names it; empty where they come from here."""
        if not self.bucket:
            return ""
        options = service()
        return f"{options['public_url'] or options['endpoint_url']}/{self.bucket}/"


def place(variable: str, default: Path) -> Place:
    url = env.text(variable)
    if not url:
        return Place(variable, "", PurePosixPath(default))
    try:
        parts = urlsplit(url)
        path = unquote(parts.path, errors="strict")
    except ValueError:
        raise _refusal(variable, url) from None
    if parts.query or parts.fragment or ".." in path.split("/") or "\0" in path:
        raise _refusal(variable, url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and path.strip("/"):
        return Place(variable, "", PurePosixPath(path))
    is_named = _BUCKET_NAME.fullmatch(parts.netloc) and _PREFIX.fullmatch(path) and "//" not in path
    if parts.scheme == "s3" and is_named:
        return Place(variable, parts.netloc, PurePosixPath("/" + path.strip("/")))
    raise _refusal(variable, url)


def _refusal(variable: str, url: str) -> ImproperlyConfigured:
    shown = re.sub(r"//[^/]*@", "//…@", url)  # somebody may have put keys there
    return ImproperlyConfigured(f"{variable} is {shown!r}: write file:///a/folder or s3://bucket/prefix.")


def service() -> dict[str, str]:
    """The S3 service that has the buckets."""
    region = env.text("AWS_REGION") or env.text("AWS_DEFAULT_REGION")
    endpoint = env.web_address("S3_ENDPOINT_URL", may_have_path=True)
    endpoint = endpoint or (region and f"https://s3.{region}.amazonaws.com")
    if not endpoint:
        raise ImproperlyConfigured("Where the buckets are is not known: set AWS_REGION, or S3_ENDPOINT_URL.")
    return {
        "endpoint_url": endpoint,
        "region_name": region or "us-east-1",
        "public_url": env.web_address("S3_PUBLIC_URL", may_have_path=True),
    }


def refuse_overlap(places: list[Place]) -> None:
    """What lies in two stores would be an orphan of one of them, and be removed from the other."""
    for one, other in combinations(places, 2):
        here, there = one.real_path, other.real_path
        if one.bucket == other.bucket and (here.is_relative_to(there) or there.is_relative_to(here)):
            raise ImproperlyConfigured(
                f"{one.variable} and {other.variable} overlap: give each its own place."
            )
