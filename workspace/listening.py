"""Whether an address can be listened on, and whether a page is there yet."""

import errno
import http.client
import socket
import time
from urllib.parse import urlsplit


class CannotListenError(Exception):
    """The address is not ours to listen on; the message says what to do."""


def refuse_taken_address(host: str, port: int) -> None:
    """Raise CannotListenError, with a sentence for the person, unless a server could listen there."""
    try:
        _try_to_listen(host, port)
    except (OSError, OverflowError) as error:
        raise CannotListenError(_explain(f"{host}:{port}", error)) from None


def _try_to_listen(host: str, port: int) -> None:
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        probe.bind((address[0], port, *address[2:]))  # its own port is cut to 16 bits
        probe.listen()


def _explain(address: str, error: Exception) -> str:
    if isinstance(error, PermissionError):
        return f"{address} is not open to this user: set PORT to 1024 or more"
    if getattr(error, "errno", None) == errno.EADDRINUSE:
        return f"{address} is taken: stop the other program or set PORT"
    return f"{address} is no address of this machine: set HOST and PORT ({error})"


def wait_until_answers(url: str, timeout: float) -> bool:
    """Wait until the page is there; return False if it is not within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not _answers(url):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.1)
    return True


def _answers(url: str) -> bool:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status < 400  # a redirect to the login is an answer
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
