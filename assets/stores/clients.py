"""How an S3 service is talked to: one client for all threads, and no wait without an end."""

from base64 import b64encode
from functools import cache
from typing import Any

from boto3.session import Session
from botocore.config import Config
from django.conf import settings
from storages.backends.s3 import S3Storage

from assets.stores.place import plain_md5

CONNECTIONS = 32  # as many as threads may want at once
# A page must not hang on a store, nor rows that are locked; in the background a copy of some gigabytes is
# one slow request.
CONNECT_SECONDS = 3
QUICK_SECONDS, QUICK_TRIES = 15, 2
WORK_SECONDS, WORK_TRIES = 120, 5


class BucketStorage(S3Storage):
    """The storage of django-storages, whose own connections are one for each thread and without limits."""

    def get_default_settings(self) -> dict[str, Any]:
        return super().get_default_settings() | {
            "client_config": _config(settings.WEB_PROCESS),
            "public_url": "",
        }

    @property
    def client(self) -> Any:
        return _client(self.endpoint_url, self.region_name, settings.WEB_PROCESS)

    @property
    def quick_client(self) -> Any:
        """For what is asked within a transaction: where a file is, and its removal."""
        return _client(self.endpoint_url, self.region_name, True)

    @property
    def signer(self) -> Any:
        """Signs links for browsers, which may know the service by another address."""
        return _client(self.public_url or self.endpoint_url, self.region_name, settings.WEB_PROCESS)


@cache
def _config(is_quick: bool) -> Config:
    return Config(
        signature_version="s3v4",
        # Without a name of its own for each bucket, every service works, and certificates fit.
        s3={"addressing_style": "path"},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=QUICK_SECONDS if is_quick else WORK_SECONDS,
        retries={"mode": "standard", "total_max_attempts": QUICK_TRIES if is_quick else WORK_TRIES},
        max_pool_connections=CONNECTIONS,
        tcp_keepalive=True,
        # Newer checksums than many services know are sent and wanted only where they have to be.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


@cache
def _client(endpoint_url: str, region_name: str, is_quick: bool) -> Any:
    """With the keys that the environment, a profile or the machine's role has."""
    options = {"endpoint_url": endpoint_url, "region_name": region_name, "config": _config(is_quick)}
    client = Session().client("s3", **options)
    client.meta.events.register("before-call.s3.DeleteObjects", _add_md5)
    return client


def _add_md5(params: dict[str, Any], **kwargs: Any) -> None:
    """Services that know no newer checksum remove nothing without it."""
    params["headers"]["Content-MD5"] = md5_header(params["body"])


def md5_header(content: bytes) -> str:
    return b64encode(plain_md5(content).digest()).decode()
