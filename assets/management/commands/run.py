import sys
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from assets.demo.logins import LOGINS, demo_password, has_other_people
from assets.management.commands.migrate import is_prepared
from assets.models import Profile, WorkspaceAsset
from workspace.listening import CannotListenError, refuse_taken_address, wait_until_answers
from workspace.supervisor import Program, supervise

THREADS = 4  # of a web process; each may hold a database connection
TASKS_AT_ONCE = 4
LOOK_EVERY = 1  # second, for what waits for its turn; new tasks announce themselves
PATIENCE = 60  # seconds for the first page


class Command(BaseCommand):
    help = "Prepares the database and serves the dashboard with one background worker, until Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--only",
            choices=list(PROGRAMS),
            help="run this alone, as on one of several hosts, on a database that is prepared already",
        )

    def handle(self, *args: Any, only: str | None, **options: Any) -> None:
        serves = only != "worker"
        if serves:
            self._refuse_taken_address()
        refuse_unprepared() if only else self._prepare()
        if serves and not settings.DEBUG:
            call_command("collectstatic", interactive=False, verbosity=0)
        connection.close()  # for months, nothing is asked by this process
        programs = [program() for name, program in PROGRAMS.items() if only in (None, name)]
        sys.exit(supervise(programs, ready=self._announce if serves else None))

    def _refuse_taken_address(self) -> None:
        try:
            refuse_taken_address(settings.HOST, settings.PORT)
        except CannotListenError as error:
            raise CommandError(str(error)) from None

    def _prepare(self) -> None:
        self._say("Preparing the database …")
        call_command("migrate", verbosity=0)
        if is_unused() and not settings.READ_ONLY:
            call_command("demo", verbosity=0, stdout=self.stdout)

    def _announce(self) -> None:
        if not wait_until_answers(f"{address()}/healthz", PATIENCE):
            self._say(f"{address()} does not answer yet: see the messages above.")
            return
        self._say(f"\nWorkspace Assets is at {address()}/ (Ctrl-C stops it).")
        self._say(how_to_log_in())

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def refuse_unprepared() -> None:
    """Several hosts that start at once do not all migrate."""
    # Asked first: a product that runs on Django has such a table too, which is not for this role to read.
    if not is_prepared(connection, settings.DASHBOARD_SCHEMA) or _are_migrations_waiting():
        raise CommandError("The database is not prepared for this version: run manage.py migrate first.")


def _are_migrations_waiting() -> bool:
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def is_unused() -> bool:
    """A workspace is often empty; one that nobody has ever used has no other people and no jobs of others."""
    if settings.UPSTREAM_TABLES == "existing" or has_other_people() or WorkspaceAsset.objects.exists():
        return False
    return settings.EMBEDDED or not (User.objects.exists() or Profile.objects.exists())


def how_to_log_in() -> str:
    people = list(User.objects.filter(username__in=LOGINS))
    if len(people) < len(LOGINS):
        return "manage.py createsuperuser makes a log-in that may manage the others."
    if all(person.check_password(demo_password()) for person in people):
        return f"Log in as {', '.join(LOGINS)}; the password of each is {demo_password()}"
    return f"Log in as {', '.join(LOGINS)}; manage.py demo sets their password anew."


def address() -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.HOST, settings.HOST)  # noqa: S104
    return f"http://{host}:{settings.PORT}"


def web() -> Program:
    options = {
        "--interface": "wsgi",
        "--host": settings.HOST,
        "--port": str(settings.PORT),
        "--workers": str(settings.WEB_PROCESSES),
        "--blocking-threads": str(THREADS),
        "--log-level": "warning",
    }
    arguments = [part for option in options.items() for part in option]
    flags = ["--no-ws", "--respawn-failed-workers"]
    return Program("web", [sys.executable, "-m", "granian", *arguments, *flags, "workspace.wsgi:application"])


def worker() -> Program:
    manage = str(settings.BASE_DIR / "manage.py")
    # Several at once: a long operation must not keep the clean-ups waiting.
    options = ["--concurrency", str(TASKS_AT_ONCE), "--fetch-job-polling-interval", str(LOOK_EVERY)]
    return Program("worker", [sys.executable, manage, "procrastinate", "worker", *options])


PROGRAMS = {"web": web, "worker": worker}
