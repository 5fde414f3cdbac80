"""An S3 server over HTTP on this machine, and the means to damage what it has and what it answers."""

import re
import threading
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape, unescape

import boto3
from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.s3.models import s3_backends
from werkzeug.serving import make_server

KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "us-east-1"}

Fault = Callable[[dict, Callable], Iterable[bytes] | None]  # an answer in place of the server's, or None


class _Handler(MotoRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer would wait for 40 ms

    def log(self, *args: Any) -> None:
        pass


class Server:
    """moto, with faults to order in front of it."""

    def __init__(self) -> None:
        self.requests: list[str] = []  # method and path of each
        self.faults: list[Fault] = []
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=_Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _answer(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        self.requests.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        for fault in list(self.faults):
            answer = fault(environ, start_response)
            if answer is not None:
                return answer
        return self._moto(environ, start_response)

    @contextmanager
    def failing(self, fault: Fault):
        self.faults.append(fault)
        try:
            yield
        finally:
            self.faults.remove(fault)

    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            region_name="us-east-1",
        )

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def refusal(
    code: str, status: str = "403 Forbidden", *, method: str = "", key: str = "", times: int = 10_000
):
    """A fault: the server's own error, for some requests."""
    left = [times]

    def fault(environ: dict, start_response: Callable) -> Iterable[bytes] | None:
        if (
            not environ["PATH_INFO"].endswith(key)
            or method not in ("", environ["REQUEST_METHOD"])
            or not left[0]
        ):
            return None
        left[0] -= 1
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        body = f"<Error><Code>{code}</Code><Message>No.</Message></Error>".encode()
        start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    return fault


def bucket_of(name: str) -> Any:
    """What moto has of a bucket."""
    return s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[name]


def empty(name: str) -> None:
    bucket = bucket_of(name)
    bucket.keys.clear()
    bucket.multiparts.clear()


def set_time(name: str, key: str, timestamp: float) -> None:
    bucket_of(name).keys[key].last_modified = datetime.fromtimestamp(timestamp, UTC).replace(tzinfo=None)


def add(name: str, key: str, content: bytes, *, etag: str = "") -> None:
    """Puts an object without a request."""
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    backend.put_object(name, key, content, etag=etag or None)


def content_of(name: str, key: str) -> bytes:
    try:
        return bucket_of(name).keys[key].value
    except KeyError:
        raise FileNotFoundError(key) from None


def answer(method: str, body: str) -> Fault:
    """A fault: a success that says something else."""

    def fault(environ: dict, start_response: Callable) -> Iterable[bytes] | None:
        if environ["REQUEST_METHOD"] != method:
            return None
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start_response("200 OK", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body.encode()]

    return fault


def cut_off(*, after: int, times: int) -> Fault:
    """A fault: the connection ends within the content of a file."""
    left = [times]

    def fault(environ: dict, start_response: Callable) -> Iterable[bytes] | None:
        if environ["REQUEST_METHOD"] != "GET" or not left[0]:
            return None
        left[0] -= 1
        size = 10 * after
        headers = {"Content-Length": str(size), "Content-Range": f"bytes 0-{size - 1}/{size}", "ETag": '"e"'}
        start_response("206 Partial Content", [*headers.items(), ("Connection", "close")])
        return [b"x" * after]

    return fault


def removal(word: str, code: str = "", removed: bool = False) -> Fault:
    """A fault: of keys with this word, the answer to DeleteObjects has an error, or says nothing."""

    def fault(environ: dict, start_response: Callable) -> Iterable[bytes] | None:
        if environ["REQUEST_METHOD"] != "POST" or "delete" not in environ["QUERY_STRING"]:
            return None
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])).decode()
        keys, said = bucket_of(environ["PATH_INFO"].strip("/")).keys, ""
        for key in map(unescape, re.findall("<Key>(.*?)</Key>", body)):
            if key in keys and (word not in key or removed):
                keys.pop(key)
            if word not in key:
                said += f"<Deleted><Key>{escape(key)}</Key></Deleted>"
            elif code:
                said += f"<Error><Key>{escape(key)}</Key><Code>{code}</Code></Error>"
        content = f"<DeleteResult>{said}</DeleteResult>".encode()
        start_response("200 OK", [("Content-Type", "application/xml"), ("Content-Length", str(len(content)))])
        return [content]

    return fault
