"""What is asked again and again is planned once, and answered the same ever after."""

import pytest
from django.db import connection
from django.urls import reverse

from assets import reviews
from assets.models import SavedView, Verdict, WorkspaceAsset
from tests.factories import make_asset, make_assets, make_job

pytestmark = pytest.mark.django_db

TABLES = ("django_session", "auth_user", "assets_review", "assets_savedview")


def kept_plans():
    """How often each was made, and used again."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement, custom_plans, generic_plans FROM pg_prepared_statements")
        plans = cursor.fetchall()
    return {table: plan for table in TABLES for sql, *plan in plans if f"FROM {table}" in sql}


def test_what_every_page_asks_is_planned_once(fetch):
    make_asset()
    with connection.cursor() as cursor:
        # What it prefers of itself depends on the room that the rows of other tests took.
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
    for _ in range(8):
        fetch("/assets/")
    assert {table: plan for table, plan in kept_plans().items() if plan[1] >= 2}.keys() == set(TABLES)


def test_a_table_may_get_a_column_while_pages_are_served(fetch, staff):
    asset = make_asset()
    reviews.review([asset.pk], verdict=Verdict.FLAGGED, note="", reviewer=staff)
    SavedView.objects.create(owner=staff, name="mine")
    before = fetch("/assets/").text
    assert "mine" in before
    connection.check_constraints()  # of rows that are new, which keep a table from being altered
    with connection.cursor() as cursor:
        for table in TABLES:
            # Within a block, so that the driver takes it for somebody else's.
            cursor.execute(f"DO 'BEGIN ALTER TABLE {table} ADD COLUMN of_another_version text; END'")
    assert fetch("/assets/").text == before


@pytest.mark.django_db(transaction=True)
def test_the_product_may_change_the_type_of_a_column_while_pages_are_served(fetch):
    job = make_job()
    first, _ = make_assets(2, job.user, job, model_used="flux")
    url = reverse("detail", args=[first.pk])
    fetch(url)
    with connection.cursor() as cursor:
        change = "DO 'BEGIN ALTER TABLE workspace_assets ALTER asset_index TYPE {}; END'"
        cursor.execute(change.format("bigint"))
        try:
            shown = fetch(url)
        finally:
            cursor.execute(change.format("integer"))
    assert [card.index for card in shown.response.context["siblings"]] == [
        asset.asset_index for asset in WorkspaceAsset.objects.for_job(job.pk).order_by("asset_index")
    ]
