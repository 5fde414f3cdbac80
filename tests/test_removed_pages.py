"""The ledger's pages: what left, by whom, until when it can come back, what became of its files."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db.models import JSONField, Value
from django.urls import reverse
from django.utils import timezone

from assets import dispositions
from assets.models import Disposition, Operation, WorkspaceAsset
from assets.purge import purge
from tests import samples
from tests.factories import GONE, make_asset, make_assets, make_user
from tests.html import Page, setting_lines

pytestmark = pytest.mark.django_db

PNG = samples.picture(".png", 64, 48)


@pytest.fixture(autouse=True)
def stores(store_folders):
    return store_folders


@pytest.fixture
def person(db):
    return User.objects.create_user("person")


@pytest.fixture
def delete(person):
    """Makes an asset and has it deleted; its entry."""

    def delete_asset(*args, **values):
        asset = make_asset(*args, **values)
        dispositions.delete([asset.pk], actor=person)
        return Disposition.objects.get(asset_id=asset.pk)

    return delete_asset


@pytest.fixture
def look(client, admin):
    """Fetches a page as somebody of the Admins."""

    def fetch_page(url):
        client.force_login(admin)
        return Page(client.get(url))

    return fetch_page


def put(stores, key):
    path = stores / "workspace" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PNG)
    return path


def page_of(entry):
    return reverse("removed_entry", args=[entry.pk])


def change(entry, **values):
    Disposition.objects.filter(pk=entry.pk).update(**values)


def let_grace_run_out():
    Disposition.objects.update(purge_after=timezone.now() - timedelta(minutes=1))


def entries(shown):
    return [entry.id for entry in shown.response.context["entries"]]


def offers_return(shown):
    return "/restore" in shown.html


# --- The list --------------------------------------------------------------------


@pytest.mark.parametrize("sort", ["-disposed_at", "disposed_at"])
def test_the_ledger_pages_through_everything_once_and_back(fetch, person, sort):
    assets = make_assets(130)
    dispositions.delete([asset.pk for asset in assets], actor=person)
    expected = list(Disposition.objects.order_by("disposed_at", "id").values_list("id", flat=True))
    if sort.startswith("-"):
        expected.reverse()
    pages, url = [], f"/removed/?sort={sort}"
    while url:
        shown = fetch(url)
        assert shown.total == 130
        pages.append(shown)
        url = f"/removed/{shown.link('next')}" if shown.link("next") else None
    assert [pk for shown in pages for pk in entries(shown)] == expected
    assert entries(fetch(f"/removed/{pages[2].link('prev')}")) == entries(pages[1])


def test_a_row_shows_what_left_and_by_whom(fetch, delete, person):
    entry = delete(make_user("ada"), model_used="flux", original_prompt="a lighthouse", file_size_bytes=2_000)
    operation = Operation.objects.create(action="delete", state="finished", actor=person)
    change(entry, operation=operation, disposed_at=timezone.now() - timedelta(hours=2, minutes=1))
    shown = fetch("/removed/")
    assert f'data-disposition-id="{entry.pk}"' in shown.html
    assert shown.ids == [str(entry.asset_id)]
    for text in ("a lighthouse", "deleted 2 h ago by person", "flux", "2.0 kB", "ada", "image"):
        assert text in shown.text
    assert f'href="/operations/{operation.pk}/"' in shown.html
    assert f'src="/media/removed/{entry.pk}/preview"' in shown.html


def test_what_expired_or_left_by_other_hands_was_by_the_system(fetch):
    make_asset(expires_in=timedelta(seconds=-1))
    dispositions.expire()
    WorkspaceAsset.objects.filter(pk=make_asset().pk).delete()  # as another program would
    shown = fetch("/removed/")
    assert "expired under 1 min ago by system" in shown.text
    assert "removed by another program under 1 min ago by system" in shown.text


def test_an_empty_ledger_says_what_it_is_for(fetch):
    assert "What is saved, deleted or expires is listed here" in fetch("/removed/").text


def test_a_filter_that_nothing_matches_says_so(fetch, delete):
    delete()
    shown = fetch("/removed/?action=expired")
    assert (entries(shown), shown.total, shown.errors) == ([], 0, [])
    assert "No departure matches all of these filters." in shown.text


def test_an_asset_that_left_twice_is_two_rows(fetch, delete, person):
    entry = delete()
    dispositions.restore([entry.pk], actor=person)
    dispositions.delete([entry.asset_id], actor=person)
    second = Disposition.objects.latest("id")
    shown = fetch("/removed/")
    assert entries(shown) == [second.pk, entry.pk]
    assert f'href="{page_of(entry)}"' in fetch(page_of(second)).html


# --- Filters -----------------------------------------------------------------------


@pytest.fixture
def wanted(delete, person):
    """Deleted ten days ago by a person in an operation."""
    entry = delete(make_user("ada"))
    operation = Operation.objects.create(action="delete", state="finished", actor=person)
    day = timezone.now().replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=10)
    change(entry, operation=operation, disposed_at=day)
    entry.refresh_from_db()
    return entry


def test_every_filter_finds_what_it_says_and_nothing_else(fetch, wanted):
    make_asset(expires_in=timedelta(seconds=-1))
    dispositions.expire()
    other = Disposition.objects.latest("id")
    day, following = wanted.disposed_at, wanted.disposed_at + timedelta(days=1)
    for query in (
        "action=deleted", "actor=person", "user=ada", f"user={wanted.user_id}", f"asset={wanted.asset_id}",
        f"operation={wanted.operation_id}", f"disposed_before={following:%Y-%m-%d}",
        f"disposed_after={day:%Y-%m-%d}&disposed_before={following:%Y-%m-%d}",
        "action=deleted&actor=person&user=ada&state=restorable&sort=disposed_at",
    ):  # fmt: skip
        shown = fetch(f"/removed/?{query}")
        assert (entries(shown), shown.errors, shown.total) == ([wanted.pk], [], 1), query
    for query in ("actor=system", "action=expired", f"disposed_after={following:%Y-%m-%d}"):
        assert entries(fetch(f"/removed/?{query}")) == [other.pk], query
    assert fetch("/removed/?action=promoted").total == fetch("/removed/?action=external").total == 0
    assert fetch("/removed/?operation=0").total == 0


def test_empty_values_select_everything(fetch, wanted):
    names = [
        "action",
        "actor",
        "user",
        "state",
        "disposed_after",
        "disposed_before",
        "asset",
        "operation",
        "sort",
    ]
    assert entries(fetch("/removed/?" + "&".join(f"{name}=" for name in names))) == [wanted.pk]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("action=lost", "“lost” is not known here: choose promoted, deleted, expired or external."),
        ("actor=nobody", "Nobody logs in as “nobody”."),
        ("actor=a%00b", "Null characters are not allowed."),
        ("user=nobody", "There is no user named “nobody”."),
        ("state=lost", "choose restorable, restored, purged or failing"),
        ("disposed_after=yesterday", "Write a day such as 2026-11-20"),
        ("disposed_before=2026-13-01", "Write a day such as 2026-11-20"),
        ("disposed_after=2026-02-03&disposed_before=2026-02-01", "leave nothing between them"),
        ("asset=123", "Write the UUID of an asset."),
        ("operation=first", "Write the number of an operation."),
        ("operation=-1", "greater than or equal to 0"),
        ("operation=9223372036854775808", "less than or equal to"),
        ("sort=created_at", "choose -disposed_at or disposed_at"),
        ("type=image", "There is no filter named “type”."),
        ("state=purged&state=failing", "“state” is given 2 times."),
        ("after=nonsense", "This page link is not understood"),
        ("before=2026-11-20T00:00:00~1", "This page link is not understood"),
        ("after=null~1", "This page link is not understood"),
    ],
)
def test_what_is_not_understood_selects_nothing_and_says_why(fetch, wanted, query, message):
    shown = fetch(f"/removed/?{query}")
    assert shown.status == 200
    assert entries(shown) == []
    assert any(message in error for error in shown.errors), shown.errors
    assert "Nothing here" not in shown.text
    if "This page link" not in message:
        assert shown.total == 0


def test_chips_lead_to_the_ledger_without_them(fetch, wanted):
    shown = fetch("/removed/?actor=person&action=deleted")
    assert shown.chips == ["By person", "Why deleted"]
    assert 'href="/removed/?actor=person"' in shown.html


# --- States and words --------------------------------------------------------------


def state_of(look, entry):
    """What list and page both say, and whether both offer a way back."""
    listed, alone = look("/removed/"), look(page_of(entry))
    [row] = [row for row in listed.response.context["entries"] if row.id == entry.pk]
    assert row.state in alone.text
    assert row.state in listed.text
    assert offers_return(alone) == bool(row.restore_url)
    return row.state, offers_return(alone)


def found_as(fetch_page, entry):
    states = ("restorable", "restored", "purged", "failing")
    return [state for state in states if entry.pk in entries(fetch_page(f"/removed/?state={state}"))]


def test_what_can_come_back_says_for_how_long(look, delete):
    entry = delete()
    assert state_of(look, entry) == ("can come back for 23 h", True)
    assert found_as(look, entry) == ["restorable"]
    assert f"until {timezone.localtime(entry.purge_after):%Y-%m-%d %H:%M:%S}" in look(page_of(entry)).text


def test_what_left_by_other_hands_can_come_back_before_the_clean_up_has_seen_it(look):
    asset = make_asset()
    WorkspaceAsset.objects.filter(pk=asset.pk).delete()
    entry = Disposition.objects.get()
    assert entry.purge_after is None
    assert state_of(look, entry) == ("can come back for 23 h", True)
    assert found_as(look, entry) == ["restorable"]
    change(entry, disposed_at=timezone.now() - timedelta(hours=20, minutes=30))
    assert state_of(look, entry) == ("can come back for 3 h", True)
    change(entry, disposed_at=timezone.now() - timedelta(hours=30))
    assert state_of(look, entry) == ("can come back until the next removal of files", True)
    assert found_as(look, entry) == ["restorable"]


def test_what_has_come_back_says_by_whom(look, delete, person):
    entry = delete()
    dispositions.restore([entry.pk], actor=person)
    assert state_of(look, entry) == ("brought back by person under 1 min ago", False)
    assert found_as(look, entry) == ["restored"]
    shown = look(page_of(entry))
    assert f'href="/assets/{entry.asset_id}/"' in shown.html
    assert "Files kept" not in shown.text
    assert "Returned" in shown.text


def test_between_the_grace_and_the_purge_nothing_comes_back(look, delete):
    entry = delete()
    let_grace_run_out()
    assert state_of(look, entry) == ("files are about to be removed", False)
    assert found_as(look, entry) == []


def test_what_was_purged_says_what_became_of_each_file(look, delete, stores):
    put(stores, "u/0.png")
    entry = delete(temp_storage_path="u/0.png", thumbnail_path="u/nowhere.webp")
    let_grace_run_out()
    purge()
    assert state_of(look, entry) == ("files removed under 1 min ago", False)
    assert found_as(look, entry) == ["purged"]
    shown = look(page_of(entry))
    assert "workspace: u/0.png removed" in shown.text
    assert "workspace: u/nowhere.webp missing The file is missing from the store" in shown.text
    assert "Purged" in shown.text


def test_a_file_that_another_asset_has_too_is_not_said_to_be_removed(look, delete, stores):
    put(stores, "u/0.png")
    make_asset(temp_storage_path="u/0.png")
    entry = delete(temp_storage_path="u/0.png")
    let_grace_run_out()
    purge()
    assert state_of(look, entry) == ("its file stays: another asset has the same", False)


def test_a_thumbnail_that_stays_is_told_of_removed_files(look, delete, stores):
    for path in ("u/0.png", "u/thumbnail.webp"):
        put(stores, path)
    make_asset(temp_storage_path="u/1.png", thumbnail_path="u/thumbnail.webp")
    entry = delete(temp_storage_path="u/0.png", thumbnail_path="u/thumbnail.webp")
    let_grace_run_out()
    purge()
    state, _ = state_of(look, entry)
    assert state == "files removed under 1 min ago, but for one that another asset has too"


def test_files_that_were_missing_are_not_said_to_be_removed(look, delete):
    entry = delete(temp_storage_path="u/nowhere.png")
    let_grace_run_out()
    purge()
    assert state_of(look, entry) == ("its files were missing", False)


@pytest.mark.parametrize("path", ["", "../../etc/passwd", "https://elsewhere.example/x.png"])
def test_a_path_that_names_no_place_in_the_store_is_told_and_does_not_fail(look, delete, path):
    entry = delete(temp_storage_path=path)
    let_grace_run_out()
    purge()
    shown = look(page_of(entry))
    assert f"workspace: {path or '(an empty path)'} outside" in shown.text
    assert state_of(look, entry) == ("its path names no file here", False)
    assert found_as(look, entry) == ["purged"]


def test_a_file_that_could_not_be_removed_is_told_with_the_next_try(look, delete, stores, deny_removing):
    put(stores, "u/0.png")
    entry = delete(temp_storage_path="u/0.png")
    let_grace_run_out()
    deny_removing("0.png")
    purge()
    entry.refresh_from_db()
    assert entry.attempts == 1
    state, can_return = state_of(look, entry)
    assert state == f"files not removed: {entry.last_error}"
    assert not can_return
    assert found_as(look, entry) == ["failing"]
    shown = look(page_of(entry))
    assert "workspace: u/0.png failed" in shown.text
    assert f"Tries 1, the next at {timezone.localtime(entry.retry_at):%Y-%m-%d %H:%M:%S}" in shown.text


def test_a_return_whose_library_file_could_not_be_removed_says_so(look, delete, person):
    entry = delete()
    change(
        entry, action="promoted", restored_at=timezone.now(), restored_by=person, attempts=2,
        last_error="Permission denied", retry_at=timezone.now() + timedelta(hours=1),
    )  # fmt: skip
    state, _ = state_of(look, entry)
    assert (
        state == "brought back by person under 1 min ago; the library's files not removed: Permission denied"
    )
    assert found_as(look, entry) == ["restored", "failing"]


def test_what_was_saved_links_to_the_library(look, stores, admin):
    put(stores, "u/0.png")
    asset = make_asset(temp_storage_path="u/0.png")
    dispositions.promote([asset.pk], actor=admin)
    entry = Disposition.objects.get()
    assert state_of(look, entry) == ("can come back for 23 h", True)
    assert f'href="/library/{asset.pk}/"' in look(page_of(entry)).html
    assert "saved by admins" in look(page_of(entry)).text


# --- One entry -----------------------------------------------------------------------


def test_every_column_is_shown_as_it_was(fetch, delete):
    entry = delete(
        make_user("ada"), width=640, height=480, duration_seconds="1.5", thumbnail_path=None,
        generation_settings={"steps": 31, "deep": {"a": [1, None]}},
    )  # fmt: skip
    shown = fetch(page_of(entry))
    columns = shown.response.context["columns"]
    assert [column.name for column in columns] == [
        field.column for field in WorkspaceAsset._meta.concrete_fields
    ]
    texts = {column.name: column.text for column in columns}
    assert texts["user_id"] == f"ada · {entry.user_id}"
    assert (texts["width"], texts["thumbnail_path"]) == ("640", "null")
    assert ("steps", "31") in [(line.key, line.text) for _, line in setting_lines(shown)]


def test_a_user_without_a_profile_is_named_by_id(fetch, delete):
    entry = delete()
    change(entry, user_id=GONE)
    assert str(GONE)[:8] in fetch("/removed/").text
    assert fetch(page_of(entry)).status == 200


POISON = [
    [], {}, None, "text", 7,
    {"file_size_bytes": "many", "original_prompt": 7, "model_used": None, "generation_settings": "x"},
    {"temp_storage_path": 5, "thumbnail_path": ["a"], "file_size_bytes": None, "original_prompt": None},
]  # fmt: skip


@pytest.mark.parametrize("row", POISON, ids=range(len(POISON)))
def test_a_row_that_is_not_understood_hides_nothing(client, look, delete, row):
    good, bad = delete(), delete()
    Disposition.objects.filter(pk=bad.pk).update(row=Value(row, JSONField()))
    assert entries(look("/removed/")) == [bad.pk, good.pk]
    shown = look(page_of(bad))
    assert shown.status == 200
    preview = client.get(reverse("removed_preview", args=[bad.pk]))
    assert (preview.status_code, preview["Content-Type"]) == (200, "image/svg+xml")
    let_grace_run_out()
    purge()
    assert look(page_of(bad)).status == look("/removed/?state=failing").status == 200


def test_an_entry_whose_row_is_lost_has_no_prompt(look, delete):
    entry = delete()
    Disposition.objects.update(row=Value([], JSONField()))
    assert '<h1 class="prompt-full" id="prompt">No prompt</h1>' in look(page_of(entry)).html


def test_prompts_and_errors_that_look_like_markup_stay_text(look, delete):
    entry = delete(
        original_prompt='<script>alert(1)</script>"><img src=x onerror=alert(1)>', model_used="<b>model</b>"
    )
    change(
        entry, last_error="<i>denied</i>",
        files=[{"store": "<u>", "path": "<s>", "state": "failed", "reason": "<em>no</em>"}],
    )  # fmt: skip
    for url in ("/removed/", page_of(entry)):
        shown = look(url)
        for markup in ("<script>alert", "<img src=x", "<b>model", "<i>denied", "<u>", "<s>", "<em>"):
            assert markup not in shown.html, (url, markup)
        assert "<script>alert(1)</script>" in shown.text


@pytest.mark.parametrize("name", ["removed_entry", "removed_preview"])
def test_an_entry_that_is_not_there_is_not_found(fetch, name):
    assert fetch(reverse(name, args=[999_999])).status == 404
    assert fetch(reverse(name, args=[2**63 - 1])).status == 404


# --- Previews ----------------------------------------------------------------------


def test_the_preview_is_there_until_the_file_is_removed(client, fetch, delete, stores):
    put(stores, "u/0.png")
    entry = delete(temp_storage_path="u/0.png")
    url = reverse("removed_preview", args=[entry.pk])
    fetch("/removed/")
    response = client.get(url)
    assert (response.status_code, response["Content-Type"]) == (200, "image/webp")
    assert "sandbox" in response["Content-Security-Policy"]
    let_grace_run_out()
    purge()
    gone = client.get(url)
    assert (gone.status_code, gone["Content-Type"]) == (200, "image/svg+xml")
    assert gone["X-Preview-Fault"] == "The file is missing from the store"


@pytest.mark.parametrize("path", ["", "../../etc/passwd", "https://elsewhere.example/x.png"])
def test_a_preview_never_leaves_the_store(client, fetch, delete, path):
    entry = delete(temp_storage_path=path)
    fetch("/removed/")
    response = client.get(reverse("removed_preview", args=[entry.pk]))
    assert (response.status_code, response["Content-Type"]) == (200, "image/svg+xml")


# --- Coming back -----------------------------------------------------------------------


def test_a_return_from_the_list_leads_back_to_the_list(client, look, delete):
    entry = delete()
    url = "/removed/?action=deleted"
    shown = look(url)
    assert f'name="next" value="{url}"' in shown.html
    response = client.post(reverse("restore", args=[entry.pk]), {"next": url})
    assert response["Location"] == url
    after = look(url)
    assert "Back in the workspace" in after.text
    assert f'href="/assets/{entry.asset_id}/"' in after.html
    assert not offers_return(after)
    assert WorkspaceAsset.objects.filter(pk=entry.asset_id).exists()


def test_who_may_only_look_is_told_the_state_without_a_way_back(fetch, delete):
    entry = delete()
    for url in ("/removed/", page_of(entry)):
        shown = fetch(url)
        assert "can come back for 23 h" in shown.text
        assert not offers_return(shown)


def test_the_old_address_of_what_left_leads_to_its_last_entry(client, fetch, delete, person):
    entry = delete()
    dispositions.restore([entry.pk], actor=person)
    assert fetch(f"/assets/{entry.asset_id}/").status == 200
    dispositions.delete([entry.asset_id], actor=person)
    last = Disposition.objects.latest("id")
    assert client.get(f"/assets/{entry.asset_id}/")["Location"] == page_of(last)
    assert fetch(f"/assets/{uuid4()}/").status == 404
