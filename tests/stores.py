"""The stores of a test: folders of its own, or with TEST_STORES=s3 buckets of a server in this process."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any
from unittest import mock
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from botocore.client import BaseClient
from django.http import HttpResponse
from django.test import Client

ON_S3 = os.environ.get("TEST_STORES") == "s3"
ALIASES = ("workspace", "library")
BUCKETS = {alias: f"the-{alias}" for alias in ALIASES}
PREFIX = "some/where"
# Of a program whose stores are folders in its DATA_DIR, whatever those of the tests are.
IN_DATA_DIR = {"WORKSPACE_STORE": "", "LIBRARY_STORE": ""}


def folders_only(reason: str) -> pytest.MarkDecorator:
    """Of a test about what no S3 server has."""
    return pytest.mark.skipif(ON_S3, reason=f"only folders: {reason}")


server: Any = None


def start_server() -> None:
    """Before settings are read, which ask the environment."""
    global server
    from tests import s3

    server = s3.Server()
    client = server.client()
    for bucket in BUCKETS.values():
        client.create_bucket(Bucket=bucket)
    os.environ |= s3.KEYS | {"S3_ENDPOINT_URL": server.url}
    for alias, bucket in BUCKETS.items():
        os.environ[f"{alias.upper()}_STORE"] = f"s3://{bucket}/{PREFIX}"
    server.s3 = client


def host() -> str:
    """Where browsers are sent for files; empty where they come from the dashboard."""
    return urlsplit(server.url).netloc if ON_S3 else ""


def empty_buckets() -> None:
    from tests import s3

    for bucket in BUCKETS.values():
        s3.empty(bucket)


def empty(home: Any) -> None:
    """The stores of a test, amidst it."""
    if ON_S3:
        empty_buckets()
        return
    for alias in ALIASES:
        shutil.rmtree(home / alias, ignore_errors=True)
        (home / alias).mkdir()


@contextmanager
def changes_by(guard: Callable[[Callable], Callable]) -> Iterator[None]:
    """Whatever would change something on an S3 server, done by what guards it."""
    plainly = BaseClient._make_api_call

    def call(client: BaseClient, operation: str, params: dict[str, Any]) -> Any:
        if operation.startswith(("Get", "Head", "List")):
            return plainly(client, operation, params)
        return guard(plainly)(client, operation, params)

    with mock.patch.object(BaseClient, "_make_api_call", call):
        yield


class StoreFolders:
    """A folder whose "workspace" and "library" are the stores, be they folders or not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __truediv__(self, name: object) -> Any:
        alias, _, key = str(name).partition("/")
        return ObjectPath(alias, key) if ON_S3 and alias in ALIASES else self.folder / str(name)

    def __str__(self) -> str:
        return str(self.folder)

    __fspath__ = __str__


class ObjectPath:
    """An object, or what would be a folder of them, as a pathlib.Path has it."""

    def __init__(self, alias: str, key: str) -> None:
        self.alias, self.key = alias, str(PurePosixPath(key)) if key else ""

    @property
    def _names(self) -> dict[str, str]:
        return {"Bucket": BUCKETS[self.alias], "Key": f"{PREFIX}/{self.key}"}

    def __repr__(self) -> str:
        return f"s3://{BUCKETS[self.alias]}/{PREFIX}/{self.key}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectPath) and (self.alias, self.key) == (other.alias, other.key)

    def __hash__(self) -> int:
        return hash((self.alias, self.key))

    def __lt__(self, other: "ObjectPath") -> bool:
        return (self.alias, self.key) < (other.alias, other.key)

    def __truediv__(self, name: object) -> "ObjectPath":
        return ObjectPath(self.alias, f"{self.key}/{name}".lstrip("/"))

    def __fspath__(self) -> str:
        raise TypeError("An object is no place on this machine: say folders_only, and why.")

    @property
    def name(self) -> str:
        return PurePosixPath(self.key).name

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.key).suffix

    @property
    def parent(self) -> "ObjectPath":
        return ObjectPath(self.alias, str(PurePosixPath(self.key).parent).removeprefix("."))

    def with_name(self, name: str) -> "ObjectPath":
        return ObjectPath(self.alias, str(PurePosixPath(self.key).with_name(name)))

    def with_suffix(self, suffix: str) -> "ObjectPath":
        return ObjectPath(self.alias, str(PurePosixPath(self.key).with_suffix(suffix)))

    def relative_to(self, other: "ObjectPath") -> PurePosixPath:
        return PurePosixPath(self.key).relative_to(other.key)

    def mkdir(self, **options: Any) -> None:
        pass

    def write_bytes(self, content: bytes) -> None:
        from tests import s3

        s3.add(BUCKETS[self.alias], self._names["Key"], content)

    def write_text(self, text: str) -> None:
        self.write_bytes(text.encode())

    def read_bytes(self) -> bytes:
        from tests import s3

        return s3.content_of(BUCKETS[self.alias], self._names["Key"])

    def read_text(self) -> str:
        return self.read_bytes().decode()

    def stat(self) -> SimpleNamespace:
        facts = server.s3.head_object(**self._names)
        return SimpleNamespace(st_size=facts["ContentLength"], st_mtime=facts["LastModified"].timestamp())

    def exists(self) -> bool:
        return any(path == self or path.key.startswith(f"{self.key}/") for path in self._all())

    def is_file(self) -> bool:
        return any(path == self for path in self._all())

    def unlink(self, missing_ok: bool = False) -> None:
        if not missing_ok and not self.is_file():
            raise FileNotFoundError(self)
        server.s3.delete_object(**self._names)

    def rglob(self, pattern: str) -> Iterator["ObjectPath"]:
        start = f"{self.key}/" if self.key else ""
        for path in list(self._all()):
            if path.key.startswith(start) and PurePosixPath(path.key).match(pattern):
                yield path

    def iterdir(self) -> Iterator["ObjectPath"]:
        depth = len(PurePosixPath(self.key).parts)
        yield from dict.fromkeys(self / PurePosixPath(path.key).parts[depth] for path in self.rglob("*"))

    def set_time(self, timestamp: float) -> None:
        from tests import s3

        s3.set_time(BUCKETS[self.alias], self._names["Key"], timestamp)

    def _all(self) -> Iterator["ObjectPath"]:
        from tests import s3

        for key in list(s3.bucket_of(BUCKETS[self.alias]).keys):
            yield ObjectPath(self.alias, key.removeprefix(f"{PREFIX}/"))


def set_time(path: Path | ObjectPath, timestamp: float) -> None:
    if isinstance(path, ObjectPath):
        path.set_time(timestamp)
    else:
        os.utime(path, (timestamp, timestamp))


def cut_short(path: Path | ObjectPath, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


class Browser(Client):
    """Goes on to the S3 server where it is sent there, for the same part."""

    def request(self, **request: Any) -> Any:
        response = super().request(**request)
        location = response.headers.get("Location", "")
        if not (ON_S3 and location.startswith(server.url)):
            return response
        headers = {"Range": request["HTTP_RANGE"]} if "HTTP_RANGE" in request else {}
        asked = Request(location, method=request["REQUEST_METHOD"], headers=headers)
        with urlopen(asked, timeout=60) as answer:
            return HttpResponse(answer.read(), status=answer.status, headers=dict(answer.headers))


def storages_in(settings: Any, folder: Path) -> dict[str, Any]:
    """STORAGES with the stores and the previews of one test."""
    aliases = ("previews",) if ON_S3 else (*ALIASES, "previews")
    return settings.STORAGES | {
        alias: settings.STORAGES[alias] | {"OPTIONS": {"location": folder / alias}} for alias in aliases
    }
