"""A store that is a bucket of an S3 service, or the part of one behind a prefix."""

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import BinaryIO

from assets.stores.answers import CHANGING, READING, fault_of, told
from assets.stores.clients import BucketStorage
from assets.stores.copying import copy_object
from assets.stores.faults import FileFault, MissingFile, PathFault, StoreTrouble
from assets.stores.keys import MAX_KEY_BYTES, check_key
from assets.stores.objects import Object
from assets.stores.place import Copied, Place, Served, StoredFacts, StoredFile
from assets.stores.uploads import upload

DELETED_AT_ONCE = 1_000  # as many as the service takes
PATIENCE = 60.0  # seconds, after which no more files are looked for: what is locked meanwhile must come free
LINK_SECONDS = 600  # a player that seeks asks the same address again
_WITHOUT_BYTES = "The store did not say what became of the file"


class Bucket:
    copies_at_once = 16  # they only wait for the service

    def __init__(self, storage: BucketStorage) -> None:
        self._storage = storage
        self._client, self._quick = storage.client, storage.quick_client
        self._name = storage.bucket_name
        self._prefix = f"{storage.location.strip('/')}/".lstrip("/")

    def open(self, key: str) -> BinaryIO:
        return self._object(key).open()

    def head(self, key: str, size: int) -> bytes:
        return self._object(key).part(0, size).content

    def facts(self, key: str) -> StoredFacts:
        answer = self._object(key)._replace(client=self._quick).facts()
        return StoredFacts(answer["ContentLength"], answer["LastModified"], answer["ETag"].strip('"'))

    def copy_from(self, source: Place, source_key: str, key: str) -> Copied:
        if isinstance(source, Bucket):
            size, sha256, etag = copy_object(source._object(source_key), self._object(key))
            return Copied(key, size, sha256, etag)
        with source.open(source_key) as file:
            return self.put(file, key, "")

    def put(self, file: BinaryIO, key: str, sha256: str) -> Copied:
        return Copied(key, *upload(file, self._object(key), sha256))

    def settle(self, key: str) -> None:
        """What the service has taken, it has kept."""

    def remove(self, keys: Iterable[str]) -> dict[str, FileFault | None]:
        """Looks before: for what it removes and for what was not there, the service has one answer."""
        results: dict[str, FileFault | None] = {}
        remaining = iter(keys)
        with ThreadPoolExecutor(self.copies_at_once) as pool:
            while batch := list(islice(remaining, DELETED_AT_ONCE)):
                look = partial(self._absence, deadline=time.monotonic() + PATIENCE)
                results |= dict(zip(batch, pool.map(look, batch), strict=True))
                results |= self._delete([key for key in batch if results[key] is None])
        return results

    def _absence(self, key: str, deadline: float) -> FileFault | None:
        """Why there is nothing to remove, where that is sure, or nobody waits for the answer any more."""
        if time.monotonic() > deadline:
            return StoreTrouble("The store takes too long to answer")
        try:
            check_key(key)  # what is not a key as it stands would name another file
            self.facts(key)
        except (MissingFile, ValueError) as fault:
            return fault
        except FileFault:
            pass  # whether it can be removed all the same, the service says
        return None

    def _delete(self, keys: list[str]) -> dict[str, FileFault | None]:
        if not keys:
            return {}
        results: dict[str, FileFault | None] = {}
        wanted = {"Objects": [{"Key": self._prefix + key} for key in keys], "Quiet": False}
        try:
            with told(CHANGING):
                answer = self._quick.delete_objects(Bucket=self._name, Delete=wanted)
        except FileFault as fault:
            return dict.fromkeys(keys, fault)
        # A success as a whole, in which each key may have failed.
        failed = {error["Key"]: error.get("Code", "") for error in answer.get("Errors", ())}
        deleted = {each["Key"] for each in answer.get("Deleted", ())}
        for key in keys:
            full = self._prefix + key
            if full in failed:
                results[key] = fault_of(failed[full], CHANGING)
            else:
                results[key] = None if full in deleted else FileFault(_WITHOUT_BYTES)
        return results

    def walk(self) -> Iterator[StoredFile]:
        with told(READING):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._name, Prefix=self._prefix
            )
            for page in pages:
                for each in page.get("Contents", ()):
                    # Consoles make empty objects that stand for folders.
                    if not each["Key"].endswith("/"):
                        key = each["Key"].removeprefix(self._prefix)
                        yield StoredFile(key, each["Size"], each["LastModified"])

    def link(self, key: str, served: Served, method: str) -> str:
        names = self._object(key).names
        params = names | {
            "ResponseContentType": served.content_type,
            "ResponseContentDisposition": served.disposition,
            "ResponseCacheControl": f"private, max-age={LINK_SECONDS}",
        }
        with told(READING):
            return self._storage.signer.generate_presigned_url(
                "head_object" if method == "HEAD" else "get_object", Params=params, ExpiresIn=LINK_SECONDS
            )

    def _object(self, key: str) -> Object:
        full = self._prefix + key
        if len(full.encode()) > MAX_KEY_BYTES:
            # No object can be there; a request that names it among others may fail for all of them.
            raise PathFault("The path is too long")
        return Object(self._client, self._name, full)
