"""On a product's database as its owner, as a role with the rights that it takes, and with too few."""

import json
import os
import re
from uuid import uuid4

import psycopg
import pytest

from assets import grants
from tests.samples import picture, plain
from tests.test_existing_database import (
    A_DAY,
    ADA,
    NOW,
    ORDINARY,
    PRODUCT_TABLES,
    Product,
    address,
    identifiers,
    insert,
)


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """A product's database, and a dashboard on it whose role has the rights that are printed; migrated."""
    product = Product(tmp_path_factory.mktemp("product"))
    with product.connect() as connection:
        connection.execute("DELETE FROM workspace_assets WHERE expires_at < now()")
    before = product.snapshot("public")
    made = Dashboard(product, product.folder).printed()
    granted = product.snapshot("public")
    assert different(before, granted) == {"relations", "columns"}  # in their lists of rights
    made.migrated()
    assert product.snapshot("public") == granted
    yield made
    made.drop()
    product.drop()


@pytest.fixture
def product(printed, tmp_path):
    made = Product(tmp_path, template=printed.product)
    yield made
    made.drop()


class Dashboard:
    """One on the product's database, with a role and a schema of its own."""

    def __init__(self, product, folder, role=None, **environment):
        self.product, self.folder = product, folder
        self.role = self.schema = role or f"board_{uuid4().hex[:12]}"
        self.variables = {
            "DATABASE_URL": address(product.name, self.role),
            "DASHBOARD_SCHEMA": self.schema,
            "DATA_DIR": str(folder),
            **environment,
        }

    def altered(self, *statements):
        with self.product.connect() as connection:
            for statement in statements:
                connection.execute(identifiers(statement, self.role))
        return self

    def run(self, *arguments, given="", **environment):
        return self.product.run(*arguments, given=given, **self.variables | environment)

    def manage(self, *arguments, **environment):
        return self.product.manage(*arguments, **self.variables | environment)

    def migrated(self):
        done = self.manage("migrate")
        assert done.returncode == 0, done.stderr
        return self

    def checked(self):
        return self.manage("check", "--database", "default").stderr

    def printed(self, *arguments, **environment):
        """As a role whose rights were printed, and given by the product's owner."""
        done = self.manage("grants", *arguments, **environment)
        assert done.returncode == 0, done.stderr
        with self.product.connect() as connection:
            connection.execute(done.stdout)
        return self

    def live(self, assets=None, **environment):
        """Six assets with files, of which one has expired, and what becomes of them."""
        given = {
            "assets": [str(pk) for pk in assets or self.six()],
            "user": "ada",
            "file": str(self.folder / "new.png"),
        }
        (self.folder / "new.png").write_bytes(picture(".png", image=plain(16, 16, list(uuid4().bytes[:3]))))
        done = self.run("-m", "tests.whole_life", given=json.dumps(given), **environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def six(self):
        ids = [uuid4() for _ in range(6)]
        with self.product.connect() as connection:
            for pk in ids:
                path = f"{ADA}/{pk}.png"
                file = self.folder / "workspace" / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(picture(".png", 20, 20))
                row = ORDINARY | {"id": pk, "job_id": uuid4(), "temp_storage_path": path}
                row["expires_at"] = NOW - A_DAY if pk == ids[-1] else NOW + A_DAY
                insert(connection, "workspace_assets", **row)
        return ids

    def age_files(self):
        for file in self.folder.rglob("*.png"):
            os.utime(file, (0, 0))

    def files(self):
        found = (file.relative_to(self.folder) for file in self.folder.rglob("*") if file.is_file())
        return {str(path) for path in found if path.parts[0] in ("workspace", "library")}

    def entries(self):
        with self.product.connect() as connection:
            query = identifiers("SELECT count(*) FROM {}.assets_disposition", self.schema)
            return connection.execute(query).fetchone()[0]

    def drop(self):
        with self.product.connect() as connection:
            connection.execute(identifiers("DROP OWNED BY {}", self.role))
            connection.execute(identifiers("DROP ROLE {}", self.role))


@pytest.fixture
def board(printed, product, tmp_path):
    """The same on a copy of that database."""
    yield lambda **environment: Dashboard(product, tmp_path, printed.role, **environment)
    with product.connect() as connection:
        connection.execute(identifiers("ALTER ROLE {} BYPASSRLS", printed.role))


def contents(product):
    """Each row of the product's, and which transaction wrote it."""
    with product.connect() as connection:
        return {
            table: connection.execute(f"SELECT xmin::text, t::text FROM {table} t ORDER BY 2").fetchall()
            for table in PRODUCT_TABLES
        }


OWNS = [f"ALTER TABLE public.{table} OWNER TO {{}}" for table in sorted(PRODUCT_TABLES)]
NO_RIGHTS = "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {}"

# --- With all rights that it takes ---------------------------------------------------

ALL_DONE = {
    "pages": {},
    "save": [200, "Saved to the library Undo"],
    "look at what is saved": 200,
    "bring it back": [200, "Back in the workspace Open it"],
    "delete": [200, "Deleted Undo"],
    "restore": [200, "Back in the workspace Open it"],
    "extend": [200, "It expires in 7 days now Undo"],
    "take the extension back": [200, "It expires when it would have before"],
    "operation": [302, 302, "finished", 3, 0, 0, [""]],
    "undo": [302, "undone", 0, 0, 3],
    "review": [200, "Approved Undo"],
    "view": [302, ""],
    "expire": [0, 1, 0],
    "purge": [0, 5, 0],  # the copies of four that came back, and what expired
    "reconcile": [1, 0],  # most of the product's rows name files that are not in this store
    "remove orphans": [1, 0, 0],
    "ingest": [0, 1],
    "refresh": [0],
    "advice": [1, "26 of 30 indexes are missing."],
    "settings": ["conditioning_settings", "sampler", "steps"],
    "pages after": {},
}


def test_the_owner_does_all_there_is_to_do(board):
    owner = board().altered(NO_RIGHTS, *OWNS, "ALTER ROLE {} NOBYPASSRLS")
    assert owner.live() == ALL_DONE


def test_rights_that_cannot_be_given_leave_no_role_behind(product, tmp_path):
    """So that the same can be run again."""
    with product.connect() as connection:
        connection.execute("ALTER TABLE user_library RENAME TO elsewhere")
    refused = Dashboard(product, tmp_path)
    done = refused.manage("grants")
    assert done.returncode == 0, done.stderr
    with product.connect() as connection:
        # One by one, as psql runs them.
        with pytest.raises(psycopg.errors.UndefinedTable):
            for line in done.stdout.splitlines():
                connection.execute(line)
        connection.execute("ROLLBACK")
        assert connection.execute("SELECT to_regrole(%s)", [refused.role]).fetchone() == (None,)


def test_a_role_with_the_printed_rights_does_all_there_is_to_do(board):
    minimal = board()
    told = minimal.checked()
    assert not re.search(r"assets\.(W003|W004|E)", told)
    assert minimal.live() == ALL_DONE


def different(before, after):
    return {name for name in before if before[name] != after[name]}


# --- With too few ----------------------------------------------------------------------


def test_a_role_that_may_only_look_is_told_what_it_lacks_and_leaves_nothing_behind(board, product):
    few = board()
    few.altered(NO_RIGHTS, *grants.statements(few.role, read_only=True))
    told = few.checked()
    assert told.count("assets.W003") == 5
    assert f"manage.py ingest: the role {few.role} lacks INSERT ON jobs, UPDATE (metadata) ON jobs" in told
    assert f"GRANT UPDATE (expires_at) ON public.workspace_assets TO {few.role};" in told
    assets, before = few.six(), contents(product)
    said = few.live(assets)
    remove = "UPDATE (expires_at) ON workspace_assets, DELETE ON workspace_assets"
    lacks = f"The role {few.role} lacks {remove}"
    refused = "The database refused: permission denied for table workspace_assets."
    assert said["save"] == [200, f"Not saved. {lacks}, INSERT ON user_library."]
    assert said["delete"] == [200, f"Not deleted. {refused}"]
    assert said["extend"] == [200, f"Not extended. {refused}"]
    assert said["operation"] == [302, 302, "finished", 0, 3, 0, [f"{lacks}, INSERT ON user_library"]]
    assert said["expire"] == [1, f"{lacks}: nothing has been done."]
    assert said["purge"] == [0, 0, 0]
    assert said["remove orphans"][2] == 0
    assert said["ingest"][0] == 2
    assert "The database does not let this role add assets: permission denied" in said["ingest"][1]
    looking = ("pages", "view", "refresh", "settings", "pages after")
    assert {name: said[name] for name in looking} == {name: ALL_DONE[name] for name in looking}
    assert contents(product) == before
    assert few.entries() == 0
    assert few.files() == {f"workspace/{ADA}/{pk}.png" for pk in assets}


def test_a_role_that_cannot_see_every_row_is_refused_and_removes_no_file(board, product):
    """To it each file of a row that it does not see would be one that nobody names."""
    blind = board().altered("ALTER ROLE {} NOBYPASSRLS")
    assets = blind.six()
    blind.age_files()
    before = contents(product)
    hides = "Row-level security hides rows of profiles, jobs, workspace_assets, user_library from the role"
    assert f"(assets.E004) {hides} {blind.role}." in blind.checked()
    assert "assets.E004" in blind.manage("migrate").stderr
    said = blind.live(assets)
    assert said["pages"]["/assets/"] == said["pages"]["/assets/export.csv"] == 503
    assert set(said["pages"].values()) == {503}
    assert said["save"] == [200, f"Not saved. {hides} {blind.role}."]
    assert "would be affected by row-level security" in said["delete"][1]
    for command in ("purge", "reconcile", "remove orphans"):
        assert said[command] == [1, f"{hides} {blind.role}: nothing has been done."]
    for command in ("expire", "refresh", "ingest"):
        assert said[command][0]
        assert "row-level security" in said[command][1]
    assert contents(product) == before
    assert blind.entries() == 0
    assert blind.files() == {f"workspace/{ADA}/{pk}.png" for pk in assets}


def test_a_service_that_starts_too_early_says_so_beside_the_products_own_migrations(board):
    done = board(DASHBOARD_SCHEMA="not_made_yet").manage("run", "--only", "worker")
    assert (done.returncode, done.stderr.count("run manage.py migrate first")) == (1, 1)


# --- Read only ---------------------------------------------------------------------------

READ_ONLY = "This dashboard is read only: nothing is saved, deleted, extended, brought back or added here."
REFUSED_PAGES = ("save", "bring it back", "delete", "restore", "extend", "take the extension back")
REFUSED_COMMANDS = ("expire", "purge", "remove orphans", "ingest")


def test_read_only_changes_nothing_and_says_so(board, product):
    """Though the role has all rights."""
    reader = board(READ_ONLY="1")
    assets = reader.six()
    reader.age_files()
    before = contents(product)
    said = reader.live(assets)
    for name in (*REFUSED_PAGES, "operation"):
        assert said[name][0] == 403
        assert READ_ONLY in said[name][1]
    for name in REFUSED_COMMANDS:
        assert said[name] == [1, READ_ONLY]
    goes_on = ("pages", "review", "view", "reconcile", "refresh", "settings", "pages after")
    assert {name: said[name] for name in goes_on} == {name: ALL_DONE[name] for name in goes_on}
    assert contents(product) == before
    assert reader.entries() == 0
    assert reader.files() == {f"workspace/{ADA}/{pk}.png" for pk in assets}


# --- Who else may read what is the dashboard's own -----------------------------------------


def test_no_other_role_may_read_the_dashboards_own_tables(board, product):
    made = board().altered("GRANT CREATE ON DATABASE " + product.name + " TO {}", "DROP SCHEMA {} CASCADE")
    given = [
        "ALTER DEFAULT PRIVILEGES FOR ROLE {} GRANT USAGE ON SCHEMAS TO anon",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {} GRANT ALL ON TABLES TO anon, authenticated",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {} GRANT ALL ON SEQUENCES TO anon",
    ]
    done = made.altered(*given).manage("migrate")
    assert done.returncode == 0, done.stderr
    assert (
        f"Revoked what default privileges gave anon, authenticated in the schema {made.schema}."
        in done.stdout
    )
    assert "assets.W004" not in made.checked()
    with product.connect() as connection:
        query = "SELECT nspacl::text ~ '(anon|authenticated|{|,)=' FROM pg_namespace WHERE nspname = %s"
        assert connection.execute(query, [made.schema]).fetchone()[0] in (None, False)
        for role in ("anon", "authenticated"):
            connection.execute(identifiers("SET ROLE {}", role))
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(identifiers("TABLE {}.auth_user", made.schema))
            connection.execute("RESET ROLE")


def test_what_was_granted_on_purpose_stays_and_the_check_names_whom_to_revoke_it_from(board, product):
    made = board().altered(
        "GRANT USAGE ON SCHEMA {0} TO anon", "GRANT SELECT (username) ON {0}.auth_user TO anon"
    )
    told = made.checked()
    assert "Revoked" not in made.manage("migrate").stdout
    assert f"the dashboard's own tables in the schema {made.schema}: anon" in told
    revoke = re.search(r"REVOKE ALL ON ALL TABLES.*;", told)[0]
    assert revoke.count("FROM anon;") == 4
    assert "assets.W004" not in made.altered(revoke).checked()


def test_the_first_migrate_takes_no_rights_in_a_schema_that_others_use(board, product):
    """Such as tables of a report, which a product's API shows."""
    made = board().altered(
        "DROP SCHEMA {} CASCADE",
        "CREATE SCHEMA {0} AUTHORIZATION {0}",
        "CREATE TABLE {}.report (id int)",
        "ALTER TABLE {0}.report OWNER TO {0}",
        "GRANT USAGE ON SCHEMA {} TO anon",
        "GRANT SELECT ON {}.report TO anon",
    )
    made.migrated()
    with product.connect() as connection:
        connection.execute("SET ROLE anon")
        assert connection.execute(identifiers("TABLE {}.report", made.schema)).fetchall() == []
