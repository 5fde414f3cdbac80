"""The web servers of a benchmark: granian as `manage.py run` starts it, on the loopback interface."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.test import Client

from assets.management.commands.run import PATIENCE, web
from bench import DATA_DIR
from workspace.listening import CannotListenError, refuse_taken_address, wait_until_answers
from workspace.process_guard import SCRIPT, end_groups

HOST = "127.0.0.1"
OURS, STOCK = settings.PORT, settings.PORT + 1  # ports


def refuse_taken_ports() -> None:
    for port in (OURS, STOCK):
        try:
            refuse_taken_address(HOST, port)
        except CannotListenError as error:
            sys.exit(str(error))


@contextmanager
def served() -> Iterator[subprocess.Popen]:
    """The dashboard and the stock admin, until the block ends, however it ends; gives the former."""
    call_command("collectstatic", interactive=False, verbosity=0)
    guard = subprocess.Popen(SCRIPT, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603
    servers: list[subprocess.Popen] = []
    try:
        with (DATA_DIR / "servers.log").open("w") as log:
            for site, port in (("ours", OURS), ("stock", STOCK)):
                servers.append(_serve(f"bench.site.{site}", port, guard, log))
        for url in (f"http://{HOST}:{OURS}/healthz", f"http://{HOST}:{STOCK}/admin/login/"):
            if not wait_until_answers(url, PATIENCE):
                sys.exit(f"{url} does not answer: see {DATA_DIR / 'servers.log'}")
        yield servers[0]
    finally:
        _stop(servers)
        guard.communicate()


def _stop(servers: Sequence[subprocess.Popen]) -> None:
    def is_impatient() -> bool:
        for server in servers:
            server.poll()  # a dead process that is not collected still counts in its group
        return False

    end_groups([server.pid for server in servers], is_impatient)
    for server in servers:
        server.wait()


def _serve(settings_module: str, port: int, guard: subprocess.Popen, log: IO[str]) -> subprocess.Popen:
    program = web()
    arguments = [str(port) if part == str(settings.PORT) else part for part in program.argv]
    pipe = guard.stdin.fileno()
    return subprocess.Popen(  # noqa: S603 (our own server)
        [*SCRIPT, str(pipe), *arguments],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": settings_module, "PYTHONPATH": str(settings.BASE_DIR)},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        pass_fds=[pipe],
        start_new_session=True,
    )


class Visitor(NamedTuple):
    """Somebody who has logged in: both servers know the session."""

    user_id: int
    session_key: str

    @property
    def cookie(self) -> str:
        """As of a browser that has been here before."""
        return f"{settings.SESSION_COOKIE_NAME}={self.session_key}; {settings.CSRF_COOKIE_NAME}={'c' * 32}"


def visitor(name: str, *, group: str = "", is_superuser: bool = False) -> Visitor:
    values = {"is_staff": True, "is_superuser": is_superuser}
    user, _ = User.objects.update_or_create(username=name, defaults=values)
    user.groups.set(Group.objects.filter(name=group))
    client = Client()
    client.force_login(user, backend=settings.AUTHENTICATION_BACKENDS[-1])
    return Visitor(user.pk, client.session.session_key)


def memory_mib(server: subprocess.Popen) -> float | None:
    """Resident, of the largest process of a server; None where the kernel does not tell."""
    sizes = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            group = int((entry / "stat").read_text().rpartition(")")[2].split()[2])
            if group == server.pid:
                status = dict(line.split(":", 1) for line in (entry / "status").read_text().splitlines())
                sizes.append(int(status["VmRSS"].split()[0]) / 1024)
    return max(sizes, default=None)
