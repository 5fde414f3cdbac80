"""Times that no calendar of Python's has, in rows that other programs wrote."""

import pytest
from django.db import connection
from django.urls import reverse

from assets import dispositions
from tests.factories import make_asset, make_assets

pytestmark = pytest.mark.django_db

# Each in a zone whose own calendar has ended there, or has not begun.
EAST, WEST = "Europe/Prague", "America/New_York"
TIMES = [
    ("infinity", EAST), ("-infinity", WEST), ("20000-01-01", EAST), ("0044-03-15 BC", WEST),
    ("9999-12-31 23:59:59+00", EAST),
]  # fmt: skip


def set_times(column, value):
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE workspace_assets SET {column} = %s", [value])


@pytest.mark.parametrize(("time", "zone"), TIMES, ids=range(len(TIMES)))
def test_every_page_shows_an_asset_of_such_a_time(client, admin, settings, time, zone):
    settings.TIME_ZONE = zone
    client.force_login(admin)
    asset = make_asset()
    pages = [
        "/assets/?view=grid", "/assets/?view=table", "/assets/?sort=expires_at", "/assets/export.csv",
        reverse("detail", args=[asset.id]), reverse("job", args=[asset.job_id]),
        reverse("user", args=[asset.user_id]), reverse("compare") + f"?id={asset.id}&id={make_asset().id}",
        "/admin/assets/workspaceasset/", f"/admin/assets/workspaceasset/{asset.id}/change/",
    ]  # fmt: skip
    for column in ("created_at", "expires_at"):
        set_times(column, time)
    for page in pages:
        response = client.get(page, follow=True)
        assert response.status_code == 200, page
        assert str(asset.id)[:8] in response.getvalue().decode(), page
    dispositions.delete([asset.id], actor=admin)
    assert client.get("/removed/").status_code == 200


def test_what_never_expires_by_infinity_says_so(fetch):
    make_asset()
    set_times("expires_at", "infinity")
    assert "never expires" in fetch("/assets/").text


@pytest.mark.parametrize("sort", ["-created_at", "created_at"])
@pytest.mark.parametrize("time", ["infinity", "-infinity"])
def test_pages_of_infinite_times_go_on(fetch, sort, time):
    made = make_assets(70)
    set_times("created_at", time)
    first = fetch("/assets/", sort=sort)
    second = fetch("/assets/" + first.link("next"))
    assert sorted(first.ids + second.ids) == sorted(str(asset.id) for asset in made)
    assert second.link("next") is None
