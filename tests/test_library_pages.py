"""The library: its list and filters, and a saved asset with how it was made."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from assets import dispositions
from assets.models import Disposition, LibraryAsset, WorkspaceAsset
from assets.purge import purge
from assets.saving import Labels
from tests import samples
from tests.factories import GONE, make_asset, make_user
from tests.html import Page, setting_lines
from tests.stores import ON_S3

pytestmark = pytest.mark.django_db

PNG = samples.picture(".png", 64, 48)
KNOWN_BY = "etag" if ON_S3 else "sha256"  # an S3 service copies by itself


@pytest.fixture(autouse=True)
def stores(store_folders):
    return store_folders


@pytest.fixture
def save(stores, admin):
    """Makes an asset with its file, and saves it as the dashboard does."""

    def save_asset(*args, labels=Labels(), **values):  # noqa: B008 (it never changes)
        key = f"{uuid4()}/0.png"
        path = stores / "workspace" / key
        path.parent.mkdir()
        path.write_bytes(PNG)
        asset = make_asset(*args, temp_storage_path=key, **values)
        assert dispositions.promote([asset.pk], actor=admin, labels=labels)[asset.pk].state == "done"
        return asset

    return save_asset


def make_saved(user=None, *, ago=None, **values):
    """A row of the library as another program writes it: nobody's ledger knows of it."""
    defaults = {
        "id": uuid4(), "user": user or make_user(), "asset_type": "image", "storage_path": "nowhere.png",
        "file_size_bytes": 1_000, "mime_type": "image/png", "original_prompt": "a red fox in the snow",
        "model_used": "sdxl", "generation_seed": 7, "created_at": timezone.now() - (ago or timedelta(0)),
    }  # fmt: skip
    return LibraryAsset.objects.create(**(defaults | values))


def page_of(asset):
    return reverse("library_detail", args=[asset.pk])


def texts(shown, name):
    """The lists of columns that have one of this name, by what they say of it."""
    found = [*shown.response.context["columns"], *shown.response.context.get("provenance", [])]
    return [column.text for column in found if column.name == name]


# --- The list --------------------------------------------------------------------


@pytest.mark.parametrize("sort", ["-created_at", "created_at", "-file_size_bytes"])
def test_the_library_pages_through_everything_once_and_back(fetch, sort):
    user = make_user()
    made = [make_saved(user, ago=timedelta(minutes=n), file_size_bytes=9_000 - n) for n in range(130)]
    expected = [str(saved.pk) for saved in made]
    if sort == "created_at":
        expected.reverse()
    pages, url = [], f"/library/?sort={sort}"
    while url:
        shown = fetch(url)
        assert shown.total == 130
        pages.append(shown)
        url = f"/library/{shown.link('next')}" if shown.link("next") else None
    assert [pk for shown in pages for pk in shown.ids] == expected
    back = fetch(f"/library/{pages[2].link('prev')}")
    assert back.ids == pages[1].ids
    assert fetch(f"/library/{back.link('prev')}").ids == pages[0].ids


def test_a_card_shows_what_was_saved(fetch):
    saved = make_saved(
        make_user("ada"), asset_type="video", duration_seconds="4.2", model_used="wan",
        original_prompt="a lighthouse", ago=timedelta(hours=5, minutes=1),
    )  # fmt: skip
    shown = fetch("/library/")
    assert shown.ids == [str(saved.pk)]
    for text in ("0:04", "wan", "a lighthouse", "ada", "5 h ago", "1 saved"):
        assert text in shown.text
    assert f'src="/media/library/{saved.pk}/preview"' in shown.html
    assert f'href="/library/{saved.pk}/"' in shown.html


def test_a_title_stands_for_the_prompt(fetch):
    make_saved(custom_title="The Fox")
    assert 'aria-label="The Fox (sdxl)"' in fetch("/library/").html


def test_nothing_in_the_library_is_ticked(fetch):
    make_saved()
    assert 'name="ids"' not in fetch("/library/").html


def test_an_empty_library_says_so(fetch):
    assert "What is saved from the workspace appears here, and stays." in fetch("/library/").text


def test_a_filter_that_nothing_matches_says_so(fetch):
    make_saved()
    shown = fetch("/library/?model=none-such")
    assert (shown.ids, shown.total, shown.errors) == ([], 0, [])
    assert "No saved asset matches all of these filters." in shown.text


def test_a_page_whose_assets_have_left_leads_to_the_first(fetch):
    made = [make_saved(ago=timedelta(minutes=n)) for n in range(61)]
    following = fetch("/library/?type=image").link("next")
    made[60].delete()
    shown = fetch(f"/library/{following}")
    assert shown.ids == []
    assert "none come after them" in shown.text
    assert 'href="?type=image"' in shown.html


def test_saved_assets_whose_user_is_gone_are_listed(fetch):
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, "user_library")
        for name, constraint in constraints.items():
            if constraint["foreign_key"]:
                cursor.execute(f'ALTER TABLE user_library DROP CONSTRAINT "{name}"')
    saved = make_saved()
    LibraryAsset.objects.update(user_id=GONE)
    assert fetch("/library/").ids == [str(saved.pk)]
    assert fetch(page_of(saved)).status == 200
    assert fetch(f"/library/?user={GONE}").ids == [str(saved.pk)]


def test_rows_without_a_time_a_seed_or_tags_are_shown_last(fetch):
    undated = make_saved(created_at=None, generation_seed=None, tags=None, visibility=None)
    dated = make_saved()
    for sort in ("-created_at", "created_at"):
        assert fetch("/library/", sort=sort).ids == [str(dated.pk), str(undated.pk)]
    assert "at an unknown time" in fetch(page_of(undated)).text


# --- Filters -----------------------------------------------------------------------


@pytest.fixture
def fox():
    day = timezone.now().replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=10)
    return make_saved(
        make_user("ada"), asset_type="video", model_used="flux/dev", original_prompt="A RED fox",
        generation_seed=0, mime_type="video/mp4", custom_title="Der Fuchs 100%", tags=["red", "b, c"],
        file_size_bytes=1_500_000, created_at=day,
    )  # fmt: skip


def understood(fox):
    day = fox.created_at
    yield from (
        "user=ada", f"user={fox.user_id}", "type=video", "model=flux/dev", "q=fox+red", "q=FOX", "seed=0",
        "mime=video/mp4", "title=fuchs", "title=100%25", "title=%20Der+F", "tag=red", "tag=b,+c",
        f"created_after={day:%Y-%m-%d}&created_before={day + timedelta(days=1):%Y-%m-%d}",
        f"created_before={day + timedelta(days=1):%Y-%m-%d}",
        f"created_after={day:%Y-%m-%dT%H:%M}Z&created_before={day:%Y-%m-%dT%H:%M}:01Z",
        "size_min=1.5MB", "size_min=1500000&size_max=1500 kB", "user=ada&type=video&seed=0&tag=red&q=fox",
    )  # fmt: skip


def test_every_filter_finds_what_it_says_and_nothing_else(fetch, fox):
    make_saved(ago=timedelta(days=1), original_prompt="a blue hare")
    for query in understood(fox):
        shown = fetch(f"/library/?{query}")
        assert (shown.ids, shown.errors, shown.total) == ([str(fox.pk)], [], 1), query


@pytest.mark.parametrize(
    "query", ["title=1_0", "tag=re", "tag=RED", "tag=b", "model=FLUX/dev", "model=flux", "q=fo", "seed=-1"]
)
def test_filters_do_not_find_what_only_looks_alike(fetch, fox, query):
    shown = fetch(f"/library/?{query}")
    assert (shown.ids, shown.errors) == ([], [])


def test_empty_values_select_everything(fetch, fox):
    names = "user type model q seed mime title tag created_after created_before size_min size_max sort"
    query = "&".join(f"{name}=" for name in names.split())
    assert fetch(f"/library/?{query}").ids == [str(fox.pk)]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("user=nobody", "There is no user named “nobody”."),
        ("type=imge", "“imge” is not known here: choose image or video."),
        ("model=a%00b", "Null characters are not allowed."),
        ("q=!!!", "Write at least one word."),
        ("q=" + "x" * 301, "at most 300 characters"),
        ("seed=twelve", "Write a whole number."),
        ("seed=9223372036854775808", "less than or equal to"),
        ("mime=png", "Write a type such as image/png."),
        ("title=a%00b", "Null characters are not allowed."),
        ("tag=a%00b", "Null characters are not allowed."),
        ("created_after=yesterday", "Write a day such as 2026-11-20"),
        ("created_before=2026-02-30", "Write a day such as 2026-11-20"),
        ("created_after=2026-02-03&created_before=2026-02-01", "These two times leave nothing between them."),
        ("size_min=big", "Write a size such as"),
        ("size_max=-1", "Write a size such as"),
        ("size_min=5MB&size_max=1MB", "The smallest size is above the largest."),
        ("sort=expires_at", "choose -created_at, created_at or -file_size_bytes"),
        ("expires=24h", "There is no filter named “expires”."),
        ("job=" + str(GONE), "There is no filter named “job”."),
        ("tag=red&tag=snow", "“tag” is given 2 times."),
        ("after=nonsense", "This page link is not understood"),
        ("before=null~1", "This page link is not understood"),
    ],
)
def test_what_is_not_understood_selects_nothing_and_says_why(fetch, fox, query, message):
    shown = fetch(f"/library/?{query}")
    assert shown.status == 200
    assert shown.ids == []
    assert any(message in error for error in shown.errors), shown.errors
    assert "Nothing here" not in shown.text
    if "~" not in query and "nonsense" not in query:
        assert shown.total == 0


def test_a_page_link_that_makes_no_sense_leads_to_the_first_page(fetch, fox):
    shown = fetch("/library/?type=video&after=nonsense")
    assert '<a href="?type=video">To the first page</a>' in shown.html


def test_chips_lead_to_the_library_without_them(fetch, fox):
    shown = fetch(f"/library/?user={fox.user_id}&tag=red")
    assert shown.chips == ["User ada", "Tag red"]
    assert f'href="/library/?user={fox.user_id}"' in shown.html


def test_filters_are_kept_by_the_form_and_the_order(fetch, fox):
    shown = fetch("/library/?title=fuchs&tag=red&type=video")
    for markup in ('value="fuchs"', 'value="red"', "<option selected>video</option>"):
        assert markup in shown.html
    assert 'href="?title=fuchs&amp;tag=red&amp;type=video&amp;sort=created_at"' in shown.html


# --- A saved asset -------------------------------------------------------------------


def test_a_saved_asset_shows_how_it_was_made(fetch, save):
    made_at = timezone.now() - timedelta(days=3)
    asset = save(
        make_user("ada"), created_at=made_at, generation_seed=42, asset_index=5,
        generation_settings={"guidance_scale": 7.5, "scene": {"id": "s1"}},
        labels=Labels("The Fox", ["red", "snow & ice"], None),
    )  # fmt: skip
    shown = fetch(page_of(asset))
    entry = Disposition.objects.get()
    rows = [(line.key, line.text) for _, line in setting_lines(shown)]
    assert ("guidance_scale", "7.5") in rows
    assert ("id", "s1") in rows
    assert texts(shown, "job_id") == [str(asset.job_id)]
    assert f'href="/jobs/{asset.job_id}/"' in shown.html
    assert texts(shown, "asset_index") == ["5"]
    assert texts(shown, "generation_seed") == ["42", "42"]
    assert made_at.isoformat()[:19] in texts(shown, "created_at")[1]
    assert texts(shown, "temp_storage_path") == [asset.temp_storage_path]
    assert texts(shown, f"{KNOWN_BY} of the file") == [entry.saved["file"][KNOWN_BY]]
    assert "by admins" in shown.text
    assert "The Fox" in shown.text
    assert 'href="/library/?tag=snow%20%26%20ice"' in shown.html
    assert f'href="/removed/{entry.pk}/"' in shown.html
    assert "image/png · 64 × 48" in shown.text
    assert len(shown.response.context["columns"]) == len(LibraryAsset._meta.concrete_fields)


def test_the_tag_of_an_asset_finds_it(fetch, save):
    asset = save(labels=Labels(None, ["a+b & c/d", "é"], None))
    for tag in ("a%2Bb%20%26%20c%2Fd", "%C3%A9"):
        assert f'href="/library/?tag={tag}"' in fetch(page_of(asset)).html
        assert fetch(f"/library/?tag={tag}").ids == [str(asset.pk)]


def test_the_operation_that_saved_it_is_linked(fetch, save, admin):
    from assets.models import Operation

    asset = save()
    operation = Operation.objects.create(action="promote", state="finished", actor=admin)
    Disposition.objects.update(operation=operation)
    assert f'href="/operations/{operation.pk}/"' in fetch(page_of(asset)).html


def test_what_another_program_saved_says_so(fetch):
    saved = make_saved()
    shown = fetch(page_of(saved))
    assert "Saved by another program: how it was made is known only by the columns below." in shown.text
    assert "Where it came from" not in shown.text
    assert "Return stays" in shown.text
    assert "Return to workspace" not in shown.text


def test_a_saved_asset_without_its_file_says_so(fetch):
    assert "The file is missing from the store." in fetch(page_of(make_saved())).text


def test_settings_and_prompts_that_look_like_markup_stay_text(fetch, save):
    asset = save(
        original_prompt="<script>alert(1)</script>",
        generation_settings={"<b>k</b>": '"><img src=x onerror=alert(1)>'},
        labels=Labels("<i>title</i>", ["<u>tag</u>"], None),
    )
    for url in ("/library/", page_of(asset), "/library/?tag=<u>tag</u>&title=<i>"):
        shown = fetch(url)
        for markup in ("<script>alert", "<b>k", "<img src=x", "<i>title", "<u>tag", "<i>"):
            assert markup not in shown.html.replace('<i class="null">', ""), (url, markup)


@pytest.mark.parametrize("row", [[], {}, None, "text", {"job_id": None, "generation_settings": [1]}])
def test_an_entry_that_is_not_understood_does_not_hide_the_asset(fetch, save, row):
    from django.db.models import JSONField, Value

    asset = save()
    Disposition.objects.update(row=Value(row, JSONField()))
    assert fetch(page_of(asset)).status == 200
    assert fetch("/library/").ids == [str(asset.pk)]


def test_previews_that_are_not_for_every_desk_are_blurred(fetch, save):
    save()
    nsfw = save(generation_settings={"content_mode": "nsfw"})
    assert fetch("/library/").html.count("card-link nsfw") == 1
    assert "stage nsfw" in fetch(page_of(nsfw)).html


def test_an_asset_that_the_library_does_not_have_is_not_found(fetch):
    assert fetch(f"/library/{uuid4()}/").status == 404


# --- Coming back -----------------------------------------------------------------------


@pytest.fixture
def look(client, admin):
    def fetch_page(url):
        client.force_login(admin)
        return Page(client.get(url))

    return fetch_page


def test_a_saved_asset_returns_to_the_workspace_and_is_saved_again(look, client, save, stores, admin):
    asset = save(labels=Labels("The Fox", [], None))
    entry = Disposition.objects.get()
    shown = look(page_of(asset))
    assert "can return to the workspace for 23 h" in shown.text
    assert f'action="/removed/{entry.pk}/restore"' in shown.html
    response = client.post(f"/removed/{entry.pk}/restore")
    assert response["Location"] == f"/assets/{asset.pk}/"
    assert WorkspaceAsset.objects.filter(pk=asset.pk).exists()
    assert look("/library/").ids == []
    assert look(page_of(asset)).status == 404
    dispositions.promote([asset.pk], actor=admin)
    again = look(page_of(asset))
    assert "can return to the workspace for 23 h" in again.text
    assert f'action="/removed/{entry.pk}/restore"' not in again.html


@pytest.mark.parametrize("purged", [False, True])
def test_after_the_grace_no_return_is_offered_and_none_happens(look, client, save, purged):
    asset = save()
    Disposition.objects.update(purge_after=timezone.now() - timedelta(minutes=1))
    if purged:
        purge()
    shown = look(page_of(asset))
    assert "stays: its file in the workspace has been, or is about to be, removed" in shown.text
    assert "/restore" not in shown.html
    client.post(f"/removed/{Disposition.objects.get().pk}/restore")
    assert LibraryAsset.objects.filter(pk=asset.pk).exists()
    assert not WorkspaceAsset.objects.exists()
    assert look(page_of(asset)).status == 200


def test_who_may_not_bring_back_is_told_for_how_long_others_may(fetch, save):
    shown = fetch(page_of(save()))
    assert "can return to the workspace for 23 h" in shown.text
    assert "/restore" not in shown.html


def test_the_old_address_of_a_saved_asset_leads_to_it(client, fetch, save):
    asset = save()
    assert client.get(f"/assets/{asset.pk}/")["Location"] == page_of(asset)
    assert client.get(f"/assets/{asset.pk}/?model=sdxl")["Location"] == page_of(asset)
    assert client.get(f"/assets/{asset.pk}/settings.json").status_code == 404


def test_a_page_is_named_by_the_title_or_the_beginning_of_the_id(fetch):
    for title, named in [("The Fox", "The Fox"), (None, "Image {:.8}")]:
        saved = make_saved(custom_title=title)
        assert f"<title>{named.format(str(saved.pk))} · " in fetch(f"/library/{saved.pk}/").html
