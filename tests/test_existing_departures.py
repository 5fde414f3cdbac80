"""Leaving and coming back on a product's own database, by a role that owns nothing there."""

import json
import re
from contextlib import contextmanager
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.test_existing_database import IDS, LIBRARY_ROW, Product, address, identifiers, server

# What the dashboard does, in a process with the settings of such a database.
PROGRAM = """
import json, sys
import django
django.setup()
from django.contrib.auth.models import User
from assets import dispositions
from assets.models import Disposition
actor, _ = User.objects.get_or_create(username="admin")
verb, ids = json.load(sys.stdin)
if verb == "restore":
    ids = list(Disposition.objects.filter(asset_id__in=ids, restored_at=None).values_list("id", flat=True))
else:
    from uuid import UUID
    ids = [UUID(pk) for pk in ids]
outcomes = getattr(dispositions, verb)(ids, actor=actor)
print(json.dumps({str(pk): [outcome.state, outcome.reason] for pk, outcome in outcomes.items()}))
"""


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    made = Product(tmp_path_factory.mktemp("data"))
    done = made.manage("migrate")
    assert done.returncode == 0, done.stderr
    yield made
    made.drop()


@pytest.fixture(scope="module")
def untouched(product):
    """The catalogue of the product's schema before the owner adds the trigger."""
    return product.snapshot("public")


@pytest.fixture(scope="module")
def with_trigger(product, untouched):
    printed = product.manage("departure_trigger", "--sql")
    assert printed.returncode == 0, printed.stderr
    with product.connect() as connection:  # as the owner, twice: it does no harm
        connection.execute(printed.stdout)
        connection.execute(printed.stdout)
    return product


@contextmanager
def a_role(product, *statements):
    role = f"other_{uuid4().hex[:12]}"
    with server() as connection:
        connection.execute(identifiers("CREATE ROLE {} LOGIN NOSUPERUSER BYPASSRLS", role))
    with product.connect() as connection:
        for statement in statements:
            connection.execute(identifiers(statement, role))
    yield role
    with product.connect() as connection:
        connection.execute(identifiers("REASSIGN OWNED BY {} TO postgres", role))
        connection.execute(identifiers("DROP OWNED BY {}", role))
        connection.execute(identifiers("DROP ROLE {}", role))


@pytest.fixture
def other_role(product):
    """Another program's: it may delete assets, and knows nothing of the dashboard's schema."""
    with a_role(product, "GRANT SELECT, DELETE ON workspace_assets TO {}") as role:
        yield role


def act(product, verb, *names):
    done = product.run("-c", PROGRAM, given=json.dumps([verb, [str(IDS[name]) for name in names]]))
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)
    return {name: outcomes[str(IDS[name])] for name in names}


def row_of(product, name):
    query = "SELECT asset::text FROM workspace_assets AS asset WHERE id = %s"
    with product.connect() as connection:
        found = connection.execute(query, [IDS[name]]).fetchone()
    return found and found[0]


def entries_of(product, name):
    query = "SELECT action, row FROM dashboard.assets_disposition WHERE asset_id = %s ORDER BY id"
    with product.connect() as connection:
        return connection.execute(query, [IDS[name]]).fetchall()


def test_the_missing_trigger_is_told_and_never_made(product, untouched):
    asked = product.manage("departure_trigger")
    assert asked.returncode == 1
    assert "departure_trigger --sql" in asked.stderr
    checked = product.manage("check", "--database", "default")
    assert checked.returncode == 0, checked.stderr
    assert "assets.W001" in checked.stderr
    printed = product.manage("departure_trigger", "--sql")
    assert "CREATE OR REPLACE TRIGGER" in printed.stdout
    assert product.snapshot("public") == untouched


def test_the_trigger_is_found_where_its_owner_made_it(with_trigger):
    asked = with_trigger.manage("departure_trigger")
    assert asked.returncode == 0, asked.stderr
    assert "assets.W001" not in with_trigger.manage("check", "--database", "default").stderr


def test_what_another_program_deletes_is_recorded_whole(with_trigger, other_role):
    before = row_of(with_trigger, "json_null")
    with psycopg.connect(address(with_trigger.name, other_role), autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT FROM dashboard.assets_disposition")
        connection.execute("DELETE FROM workspace_assets WHERE id = %s", [IDS["json_null"]])
    assert row_of(with_trigger, "json_null") is None
    [(action, row)] = entries_of(with_trigger, "json_null")
    assert action == "external"
    assert UUID(row["id"]) == IDS["json_null"]
    assert act(with_trigger, "restore", "json_null") == {"json_null": ["done", ""]}
    assert row_of(with_trigger, "json_null") == before


@pytest.mark.parametrize("name", ["plain", "sibling"])
def test_what_the_dashboard_deletes_comes_back_as_it_was(with_trigger, name):
    before = row_of(with_trigger, name)
    assert act(with_trigger, "delete", name) == {name: ["done", ""]}
    assert row_of(with_trigger, name) is None
    assert [action for action, _ in entries_of(with_trigger, name)] == ["deleted"]
    assert act(with_trigger, "restore", name) == {name: ["done", ""]}
    assert row_of(with_trigger, name) == before


def test_what_the_database_numbers_or_computes_comes_back_as_it_was(with_trigger):
    owner_does(with_trigger, "ALTER TABLE workspace_assets ADD serial bigint GENERATED ALWAYS AS IDENTITY")
    owner_does(
        with_trigger, "ALTER TABLE workspace_assets ADD area int GENERATED ALWAYS AS (width * height) STORED"
    )
    try:
        before = row_of(with_trigger, "sibling")
        assert act(with_trigger, "delete", "sibling") == {"sibling": ["done", ""]}
        assert act(with_trigger, "restore", "sibling") == {"sibling": ["done", ""]}
        assert row_of(with_trigger, "sibling") == before
    finally:
        owner_does(with_trigger, "ALTER TABLE workspace_assets DROP serial, DROP area")


def test_rows_whose_job_or_user_is_gone_leave_as_others_do(with_trigger):
    assert act(with_trigger, "delete", "job_gone", "profile_gone") == {
        "job_gone": ["done", ""],
        "profile_gone": ["done", ""],
    }


def test_what_is_saved_is_in_the_products_library_and_comes_back(with_trigger):
    path = with_trigger.folder / "workspace" / str(UUID(int=0xADA, version=4))
    path = path / str(UUID(int=0x10, version=4)) / "0.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 1_000)
    before = row_of(with_trigger, "plain")
    assert act(with_trigger, "promote", "plain") == {"plain": ["done", ""]}
    query = "SELECT storage_path, file_size_bytes, visibility, tags FROM user_library WHERE id = %s"
    with with_trigger.connect() as connection:
        saved = connection.execute(query, [IDS["plain"]]).fetchone()
    key = f"{UUID(int=0xADA, version=4)}/{IDS['plain']}.png"
    assert saved == (key, 1_008, "private", [])
    assert (with_trigger.folder / "library" / key).read_bytes() == path.read_bytes()
    assert act(with_trigger, "restore", "plain") == {"plain": ["done", ""]}
    assert row_of(with_trigger, "plain") == before


# --- What the product's constraints and triggers refuse ---------------------------------


def owner_does(product, statement, *values):
    with product.connect() as connection:
        connection.execute(statement, values)


def test_a_place_in_the_job_that_is_taken_meanwhile_is_told(with_trigger):
    """Of unique (job_id, asset_index)."""
    assert act(with_trigger, "delete", "bare_job") == {"bare_job": ["done", ""]}
    take = "UPDATE workspace_assets SET job_id = %s WHERE id = %s RETURNING job_id"
    owner_does(with_trigger, take, UUID(int=0x11, version=4), IDS["undated"])
    taken = "An asset with its id, or at its place in the job, is in the workspace already"
    assert act(with_trigger, "restore", "bare_job") == {"bare_job": ["failed", taken]}
    owner_does(with_trigger, take, uuid4(), IDS["undated"])
    assert act(with_trigger, "restore", "bare_job") == {"bare_job": ["done", ""]}


def test_a_kind_that_the_product_has_given_up_stays_in_the_ledger_and_says_why(with_trigger):
    """Of the check on asset_type."""
    assert act(with_trigger, "delete", "huge") == {"huge": ["done", ""]}
    change = "UPDATE dashboard.assets_disposition SET row = row || %s WHERE asset_id = %s"
    owner_does(with_trigger, change, Jsonb({"asset_type": "audio"}), IDS["huge"])
    [(state, reason)] = act(with_trigger, "restore", "huge").values()
    assert state == "failed"
    assert reason.startswith("The database refused: new row for relation")
    assert "asset_type_check" in reason
    owner_does(with_trigger, change, Jsonb({"asset_type": "image"}), IDS["huge"])
    assert act(with_trigger, "restore", "huge") == {"huge": ["done", ""]}


def test_an_asset_whose_owner_is_gone_cannot_be_saved_and_stays(with_trigger):
    """Of the library's key to profiles; what was copied is an orphan, which reconcile reports."""
    path = with_trigger.folder / "workspace" / "gone.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    set_path = "UPDATE workspace_assets SET temp_storage_path = %s WHERE id = %s"
    with with_trigger.connect() as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(set_path, ["gone.png", IDS["nothing_known"]])
    before = row_of(with_trigger, "nothing_known")
    why = "its user or its job is gone, and a row here has to name one that is there"
    saved = act(with_trigger, "promote", "nothing_known")
    assert saved == {"nothing_known": ["failed", f"The database refused: {why}"]}
    assert row_of(with_trigger, "nothing_known") == before
    assert entries_of(with_trigger, "nothing_known") == []
    listed = json.loads(with_trigger.manage("reconcile", "--json").stdout)["some_orphans"]
    assert [(each["store"], each["key"].count(str(IDS["nothing_known"]))) for each in listed] == [
        ("library", 1)
    ]
    for file in (with_trigger.folder / "library").rglob(f"{IDS['nothing_known']}*"):
        file.unlink()
    path.unlink()


@pytest.mark.parametrize(
    ("verb", "table", "right"),
    [
        ("promote", "user_library", "INSERT"),
        ("restore", "workspace_assets", "INSERT"),
        ("delete", "workspace_assets", "DELETE"),
        ("extend", "workspace_assets", "UPDATE"),
    ],
)
def test_a_right_that_is_taken_away_stops_its_verb_and_nothing_else(with_trigger, verb, table, right):
    name = "tomorrow"
    if verb == "restore":
        assert act(with_trigger, "delete", name) == {name: ["done", ""]}
    before = row_of(with_trigger, name), entries_of(with_trigger, name)
    change = f"{{}} {right} ON {table} {{}} {{}}"
    role = with_trigger.role
    owner_does(with_trigger, change.format("REVOKE", "FROM", role))
    try:
        [(state, reason)] = act(with_trigger, verb, name).values()
    finally:
        owner_does(with_trigger, change.format("GRANT", "TO", role))
    assert state == "failed"
    assert f"lacks {right} ON {table}" in reason or f"permission denied for table {table}" in reason
    assert (row_of(with_trigger, name), entries_of(with_trigger, name)) == before
    assert not list((with_trigger.folder / "library").rglob(f"{IDS[name]}*"))
    if verb == "restore":
        assert act(with_trigger, verb, name) == {name: ["done", ""]}


REVIEWING = """
import json, sys
import django
django.setup()
from django.contrib.auth.models import Group, User
from django.test import Client
from assets import reviews
from tests.html import Page
person = User.objects.create_user("reviewer")
person.groups.add(Group.objects.get(name="Reviewers"))
client = Client(headers={"host": "localhost"})
client.force_login(person)
ids = json.load(sys.stdin)
client.post("/assets/review", {"ids": ids, "verdict": "flagged", "note": "blurred"})
lists = [Page(client.get(f"/{name}/?verdict=flagged")).ids for name in ("assets", "library")]
print(json.dumps([*lists, "blurred" in Page(client.get(f"/assets/{ids[0]}/")).text]))
"""


def test_reviews_are_kept_beside_the_products_tables(with_trigger):
    ids = [str(IDS["nameless"]), str(LIBRARY_ROW), str(uuid4())]
    done = with_trigger.run("-c", REVIEWING, given=json.dumps(ids))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [ids[:1], ids[1:2], True]
    assert act(with_trigger, "promote", "nameless")["nameless"][1].startswith("It was flagged by reviewer")
    query = "SELECT asset_id::text, note FROM dashboard.assets_review ORDER BY id"
    with with_trigger.connect() as connection:
        assert connection.execute(query).fetchall() == [(pk, "blurred") for pk in ids[:2]]


def test_clean_ups_run_there(with_trigger):
    done = with_trigger.manage("expire_assets", "--yes", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"done": 1, "failed": 0}), done.stderr
    assert row_of(with_trigger, "expired") is None
    done = with_trigger.manage("purge_files", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    done = with_trigger.manage("reconcile", "--json")
    assert json.loads(done.stdout)["orphans"] == 0, done.stderr


# --- Indexes that the owner makes ---------------------------------------------------

KEY_INDEXES = {"assets_file_key", "assets_thumbnail_key", "library_file_key", "library_thumbnail_key"}


def missing_indexes(product):
    """Each index that the check misses, with the statements that it gives for it."""
    checked = product.manage("check", "--database", "default")
    assert checked.returncode == 0, checked.stderr
    warnings = re.findall(
        r"W002\) The table \w+ lacks the index (\w+).*\n\s*HINT: Its owner runs: (.*)", checked.stderr
    )
    assert len(warnings) == checked.stderr.count("assets.W002")
    return dict(warnings)


def run_each(product, statements):
    with product.connect() as connection:  # one by one: none may be in a transaction
        for statement in statements.split("; "):
            connection.execute(statement)


def test_the_check_names_each_missing_index_and_how_it_is_made(owned):
    product, _ = owned
    missing = missing_indexes(product)
    assert set(missing) == KEY_INDEXES
    for name, statement in missing.items():
        assert statement.startswith(f'CREATE INDEX CONCURRENTLY "{name}" ON ')
        run_each(product, statement)
    assert missing_indexes(product) == {}


def test_an_index_counts_by_what_it_is_on(owned):
    product, _ = owned
    for statement in missing_indexes(product).values():
        run_each(product, statement)
    with product.connect() as connection:
        connection.execute("ALTER INDEX library_file_key RENAME TO of_another_name")
        connection.execute("DROP INDEX assets_file_key")
        connection.execute("CREATE INDEX assets_file_key ON workspace_assets USING hash (temp_storage_path)")
        connection.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'assets_thumbnail_key'::regclass"
        )
    missing = missing_indexes(product)
    assert set(missing) == {"assets_file_key", "assets_thumbnail_key"}
    assert missing["assets_thumbnail_key"].startswith("DROP INDEX CONCURRENTLY assets_thumbnail_key")
    assert missing["assets_file_key"].startswith('CREATE INDEX CONCURRENTLY "dashboard_assets_file_key"')
    for statements in missing.values():
        run_each(product, statements)
    assert missing_indexes(product) == {}


# --- An owner with no more rights than owning takes --------------------------------


@pytest.fixture(scope="module")
def owned(tmp_path_factory):
    """A database whose tables belong to an ordinary role, and that role."""
    made = Product(tmp_path_factory.mktemp("owned"))
    done = made.manage("migrate")
    assert done.returncode == 0, done.stderr
    with a_role(made, "ALTER TABLE workspace_assets OWNER TO {}") as owner:
        yield made, owner
    made.drop()


@pytest.fixture
def bare(owned):
    """The same, without the trigger and without any right to the dashboard's schema."""
    product, owner = owned
    with product.connect() as connection:
        connection.execute(product.manage("departure_trigger", "--sql", "--remove").stdout)
        connection.execute(identifiers("REVOKE ALL ON SCHEMA dashboard FROM {}", owner))
        connection.execute(identifiers("REVOKE ALL ON dashboard.assets_disposition FROM {}", owner))
    return owned


def printed_parts(product):
    """What departure_trigger prints: the grants, which it prints as comments as well, and the statements."""
    grants = product.manage("departure_trigger", "--grants").stdout.splitlines()
    printed = product.manage("departure_trigger", "--sql").stdout
    assert grants == [line.removeprefix("--   ") for line in printed.splitlines() if line.startswith("--   ")]
    return grants, printed


def delete_as(owner, product, name):
    """Deletes an asset, and says what the database warned of."""
    warnings = []
    with psycopg.connect(address(product.name, owner), autocommit=True) as connection:
        connection.add_notice_handler(lambda notice: warnings.append(notice.message_primary))
        connection.execute("DELETE FROM workspace_assets WHERE id = %s", [IDS[name]])
    assert row_of(product, name) is None
    return warnings


@pytest.mark.parametrize(("given", "missing"), [([], "schema"), (["USAGE"], "schema"), ([0], "ledger")])
def test_the_trigger_is_not_half_made_where_a_right_is_missing(bare, given, missing):
    product, owner = bare
    grants, statements = printed_parts(product)
    for grant in given:
        right = grants[grant] if grant == 0 else f'GRANT {grant} ON SCHEMA dashboard TO "{owner}"'
        with product.connect() as connection:
            connection.execute(right)
    with psycopg.connect(address(product.name, owner), autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match=f"the {missing}") as refused:
            connection.execute(statements)
        assert owner in refused.value.diag.message_hint
        connection.rollback()
        left = connection.execute("SELECT count(*) FROM pg_trigger WHERE tgname ~ '^record_'").fetchone()
    assert left == (0,)
    assert product.manage("departure_trigger").returncode == 1


@pytest.fixture
def recorded(bare):
    """The same, with what is printed run by whom it names, the statements twice."""
    product, owner = bare
    grants, statements = printed_parts(product)
    with psycopg.connect(address(product.name, product.role), autocommit=True) as ours:
        for grant in grants:
            ours.execute(grant)
    with psycopg.connect(address(product.name, owner), autocommit=True) as connection:
        connection.execute(statements)
        connection.execute(statements)
    return bare


def test_an_ordinary_owner_makes_the_trigger_with_the_rights_that_are_printed(recorded):
    product, owner = recorded
    assert product.manage("departure_trigger").returncode == 0
    assert delete_as(owner, product, "sibling") == []
    assert [action for action, _ in entries_of(product, "sibling")] == ["external"]


def test_the_products_deletes_go_on_when_the_rights_are_taken_away(recorded):
    product, owner = recorded
    with product.connect() as connection:
        connection.execute(identifiers("REVOKE INSERT ON dashboard.assets_disposition FROM {}", owner))
    [warning] = delete_as(owner, product, "nameless")
    assert "was not recorded: permission denied" in warning
    assert entries_of(product, "nameless") == []
    assert product.manage("departure_trigger").returncode == 1
    assert "assets.W001" in product.manage("check", "--database", "default").stderr


def test_rows_that_policies_hide_even_from_their_owner_are_recorded_or_it_is_said(product):
    """A deletion hands over what it took. Of a truncation rows have to be read, and none is no answer."""
    grants = [
        "ALTER ROLE {} NOBYPASSRLS",
        "ALTER TABLE workspace_assets OWNER TO {}",
        "ALTER TABLE workspace_assets FORCE ROW LEVEL SECURITY",
        "GRANT USAGE, CREATE ON SCHEMA dashboard TO {}",
        "GRANT INSERT ON dashboard.assets_disposition TO {}",
    ]
    entered = "SELECT count(*) FROM dashboard.assets_disposition"
    with a_role(product, *grants) as owner, product.connect() as connection:
        remove = product.manage("departure_trigger", "--sql", "--remove").stdout
        connection.execute(remove)
        connection.execute(identifiers("SET SESSION AUTHORIZATION {}", owner))
        connection.execute(product.manage("departure_trigger", "--sql").stdout)
        connection.execute("RESET SESSION AUTHORIZATION")
        try:
            with connection.transaction(force_rollback=True):
                before = connection.execute(entered).fetchone()[0]
                left = connection.execute("DELETE FROM workspace_assets").rowcount
                assert left
                assert connection.execute(entered).fetchone()[0] == before + left
            with connection.transaction(force_rollback=True):
                said = []
                connection.add_notice_handler(lambda notice: said.append(notice.message_primary))
                connection.execute("TRUNCATE workspace_assets CASCADE")
                assert "was not recorded" in said[0]
                assert "row-level security" in said[0]
        finally:
            connection.execute("ALTER TABLE workspace_assets NO FORCE ROW LEVEL SECURITY")
            connection.execute(remove)
