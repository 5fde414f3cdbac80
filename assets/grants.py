"""What the database has to let the dashboard's role do with the product's tables, and whether it does."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import connections

from assets.models import Job, LibraryAsset, Profile, WorkspaceAsset

PROFILES, JOBS, ASSETS, LIBRARY = (
    model._meta.db_table for model in (Profile, Job, WorkspaceAsset, LibraryAsset)
)


class Grant(NamedTuple):
    table: str
    privilege: str
    column: str = ""  # where the right to one is enough

    @property
    def verb(self) -> str:
        return f"{self.privilege} ({self.column})" if self.column else self.privilege

    def __str__(self) -> str:
        return f"{self.verb} ON {self.table}"


TO_LOOK = [Grant(table, "SELECT") for table in (PROFILES, JOBS, ASSETS, LIBRARY)]
# Rows are locked before they leave, which takes the right to update a column of them.
TO_EXTEND = [Grant(ASSETS, "UPDATE", "expires_at")]
TO_REMOVE = [*TO_EXTEND, Grant(ASSETS, "DELETE")]
TO_SAVE = [*TO_REMOVE, Grant(LIBRARY, "INSERT")]
TO_RESTORE = [Grant(ASSETS, "INSERT"), Grant(LIBRARY, "DELETE")]
TO_INGEST = [Grant(JOBS, "INSERT"), Grant(JOBS, "UPDATE", "metadata"), Grant(ASSETS, "INSERT")]

INGEST = "manage.py ingest"
PURPOSES = {
    "Every page": TO_LOOK,
    "Extending": TO_EXTEND,
    "Deleting, and the expiry": TO_REMOVE,
    "Saving to the library": TO_SAVE,
    "Restoring": TO_RESTORE,
    INGEST: TO_INGEST,
}


class NotGrantedError(PermissionDenied):
    """Why something is not begun; for people."""


def statements(role: str, *, read_only: bool = False) -> list[str]:
    """What the owner of the product's tables runs for the dashboard's role, with what each is for."""
    lines: list[str] = []
    given: set[Grant] = set()
    purposes = {"Every page": TO_LOOK} if read_only else PURPOSES
    for purpose, grants in purposes.items():
        lines += [f"-- {purpose}", *in_statements([each for each in grants if each not in given], role)]
        given.update(grants)
    return lines


def in_statements(grants: Iterable[Grant], role: str) -> Iterator[str]:
    """One for all tables where that is the same right."""
    tables: dict[tuple[str, str], list[str]] = {}
    for grant in grants:
        tables.setdefault((grant.privilege, grant.column), []).append(f"public.{grant.table}")
    for (privilege, column), names in tables.items():
        yield f"GRANT {Grant(', '.join(names), privilege, column)} TO {role};"


def missing(grants: Iterable[Grant], using: str = "default") -> list[Grant]:
    wanted = list(dict.fromkeys(grants))
    with connections[using].cursor() as cursor:
        cursor.execute(
            """
            SELECT place FROM unnest(%s::text[], %s::text[], %s::text[]) WITH ORDINALITY
                AS wanted (relation, privilege, columns, place)
            WHERE NOT CASE WHEN columns = '' THEN has_table_privilege(to_regclass(relation), privilege)
                ELSE has_column_privilege(to_regclass(relation), columns, privilege) END
            """,
            [list(values) for values in zip(*wanted, strict=True)],
        )
        return [wanted[place - 1] for (place,) in cursor.fetchall()]


def filtered(using: str = "default") -> list[str]:
    """The tables of which row-level security shows this role only some rows, or none."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT name FROM unnest(%s::text[]) AS name WHERE row_security_active(to_regclass(name))",
            [[PROFILES, JOBS, ASSETS, LIBRARY]],
        )
        return [name for (name,) in cursor.fetchall()]


def role(using: str = "default") -> str:
    """As it is written in a statement."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT quote_ident(current_user)")
        return cursor.fetchone()[0]


# --- Before something is begun ---------------------------------------------------


def demand(grants: Iterable[Grant]) -> None:
    """Raises NotGrantedError where a right is missing, or not every row can be seen."""
    if reason := why_not(grants):
        raise NotGrantedError(f"{reason}: nothing has been done.")


def demand_every_row() -> None:
    """For what removes files that no row names: rows that cannot be seen must not count as none."""
    demand(TO_LOOK)


def why_not(grants: Iterable[Grant]) -> str:
    if settings.UPSTREAM_TABLES == "own":
        return ""
    if tables := filtered():
        return f"Row-level security hides rows of {', '.join(tables)} from the role {role()}"
    if lacking := missing(grants):
        return f"The role {role()} lacks {', '.join(map(str, lacking))}"
    return ""
