"""One asset: saved, deleted, extended and brought back over HTTP, and what the person is told."""

import json
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.contrib.messages import get_messages
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from assets import dispositions
from assets.models import Disposition, Extension, LibraryAsset, WorkspaceAsset
from assets.purge import purge
from tests import samples
from tests.factories import make_asset
from tests.html import Page

pytestmark = pytest.mark.django_db

PNG = samples.picture(".png", 8, 8)
HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def stores(store_folders):
    return store_folders


@pytest.fixture
def with_file(stores):
    def make(**values):
        key = f"{uuid4()}.png"
        (stores / "workspace" / key).write_bytes(PNG)
        return make_asset(temp_storage_path=key, file_size_bytes=len(PNG), **values)

    return make


@pytest.fixture
def act(client, admin):
    """Posts to what acts on an asset or on an entry, as somebody of the Admins."""
    client.force_login(admin)

    def post(name, key, data=None, **options):
        return client.post(reverse(name, args=[key]), data or {}, **options)

    return post


def told(response):
    """The messages that wait for the next page."""
    return [str(message) for message in get_messages(response.wsgi_request)]


def events(response):
    return json.loads(response["HX-Trigger"])


def entry_of(asset):
    return Disposition.objects.filter(asset_id=asset.pk).latest("id")


def is_live(asset):
    return WorkspaceAsset.objects.filter(pk=asset.pk).exists()


def let_grace_run_out():
    with connection.cursor() as cursor:
        cursor.execute("UPDATE assets_disposition SET purge_after = now() - interval '1 minute'")


# --- Saving --------------------------------------------------------------------


def test_saving_leads_on_and_offers_an_undo(act, client, with_file):
    asset = with_file()
    response = act("promote", asset.pk, {"next": "/assets/?type=image"})
    assert (response.status_code, response["Location"]) == (302, "/assets/?type=image")
    shown = Page(client.get(response["Location"]))
    assert "Saved to the library" in shown.text
    assert f'data-undo="{reverse("restore", args=[entry_of(asset).pk])}"' in shown.html
    assert LibraryAsset.objects.filter(pk=asset.pk).exists()
    assert not is_live(asset)


def test_without_a_page_to_go_on_to_one_comes_to_the_gallery(act, with_file):
    assert act("promote", with_file().pk)["Location"] == "/assets/"
    assert act("delete", make_asset().pk)["Location"] == "/assets/"


def test_title_tags_and_collection_are_stored(act, with_file):
    asset, collection = with_file(), uuid4()
    labels = {"title": " Fox ", "tags": "red, snow ,red,,", "collection": str(collection)}
    act("promote", asset.pk, labels)
    saved = LibraryAsset.objects.get(pk=asset.pk)
    assert (saved.custom_title, saved.tags, saved.collection_id) == ("Fox", ["red", "snow"], collection)


def test_without_labels_the_library_has_none(act, with_file):
    asset = with_file()
    act("promote", asset.pk)
    saved = LibraryAsset.objects.get(pk=asset.pk)
    assert (saved.custom_title, saved.tags, saved.collection_id) == (None, [], None)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"collection": "animals"}, "Write the UUID of a collection."),
        ({"title": "x" * 201}, "at most 200 characters"),
        ({"title": "a\0b"}, "Null characters are not allowed."),
        ({"tags": ",".join(map(str, range(21)))}, "At most 20 tags."),
        ({"tags": "x" * 51}, "A tag has at most 50 characters."),
    ],
)
def test_labels_that_make_no_sense_save_nothing(act, with_file, labels, message):
    asset = with_file()
    response = act("promote", asset.pk, labels)
    [text] = told(response)
    assert "Not saved" in text
    assert message in text
    assert is_live(asset)
    assert not LibraryAsset.objects.exists()
    assert not Disposition.objects.exists()


@pytest.mark.parametrize("labels", [{}, {"collection": "animals"}])
def test_what_is_not_saved_is_told_on_its_own_page_and_not_on_the_next(act, labels):
    asset = make_asset(temp_storage_path="nowhere/0.png")
    response = act("promote", asset.pk, labels | {"next": f"/assets/{uuid4()}/"})
    assert response["Location"] == reverse("detail", args=[asset.pk])


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("nowhere/0.png", "The file is missing from the store"),
        ("", "The path is empty"),
        ("../outside.png", "The path leaves the store"),
    ],
)
def test_an_asset_without_a_file_is_not_saved_and_says_why(act, client, path, fault):
    asset = make_asset(temp_storage_path=path)
    shown = Page(client.get(act("promote", asset.pk)["Location"]))
    assert f"Not saved. {fault}." in shown.text
    assert 'role="alert"' in shown.html
    assert is_live(asset)
    assert not Disposition.objects.exists()


# --- Deleting ------------------------------------------------------------------


def test_deleting_leads_on_and_its_undo_brings_the_asset_back(act, client, with_file):
    asset = with_file()
    shown = Page(client.get(act("delete", asset.pk, {"next": "/assets/?sort=expires_at"})["Location"]))
    assert "Deleted" in shown.text
    assert shown.ids == []
    undo = reverse("restore", args=[entry_of(asset).pk])
    assert f'formaction="{undo}"' in shown.html
    assert client.post(undo, {"next": "/assets/"})["Location"] == "/assets/"
    assert is_live(asset)


def test_who_may_not_bring_back_is_offered_no_undo(client):
    person = User.objects.create_user("deleter")
    person.groups.add(Group.objects.get(name="Staff"))
    person.user_permissions.add(Permission.objects.get(codename="delete_workspaceasset"))
    client.force_login(person)
    [text] = told(client.post(reverse("delete", args=[make_asset().pk])))
    assert "Deleted" in text
    assert "Undo" not in text


def test_the_undo_of_a_departure_is_of_ones_own(act, staff, monkeypatch):
    asset = make_asset()
    plainly = dispositions.delete

    def delete_and_be_followed(asset_ids, *, actor):
        outcomes = plainly(asset_ids, actor=actor)
        dispositions.restore([entry_of(asset).pk], actor=staff)
        plainly(asset_ids, actor=staff)
        return outcomes

    monkeypatch.setattr(dispositions, "delete", delete_and_be_followed)
    [message] = told(act("delete", asset.pk))
    assert "Deleted" in message
    assert "/restore" not in message
    assert entry_of(asset).actor == staff


def test_the_undo_of_an_extension_is_of_ones_own(act, admin, staff, monkeypatch):
    asset = make_asset(expires_in=timedelta(hours=3))
    plainly = dispositions.extend

    def extend_and_be_followed(asset_ids, *, actor):
        outcomes = plainly(asset_ids, actor=actor)
        times = {"expired_at": asset.expires_at, "expires_at": asset.expires_at + timedelta(days=7)}
        Extension.objects.create(asset_id=asset.pk, actor=staff, **times)
        return outcomes

    monkeypatch.setattr(dispositions, "extend", extend_and_be_followed)
    [message] = told(act("extend", asset.pk))
    own = Extension.objects.get(actor=admin)
    assert f'formaction="{reverse("undo_extension", args=[own.pk])}"' in message


def test_without_any_grace_no_undo_is_offered(act, settings):
    settings.PURGE_GRACE_HOURS = 0
    [text] = told(act("delete", make_asset().pk))
    assert "Deleted" in text
    assert "Undo" not in text


# --- What has left already -----------------------------------------------------


@pytest.mark.parametrize(
    ("name", "failure"), [("promote", "Not saved"), ("delete", "Not deleted"), ("extend", "Not extended")]
)
def test_what_has_left_already_is_told_with_who_and_when(act, staff, name, failure):
    asset = make_asset()
    dispositions.delete([asset.pk], actor=staff)
    Disposition.objects.update(disposed_at=timezone.now() - timedelta(hours=3, minutes=1))
    [text] = told(act(name, asset.pk))
    assert f"{failure}. It had left already: deleted by staff 3 h ago." in text
    assert Disposition.objects.count() == 1


def test_what_expired_left_by_nobody(act):
    asset = make_asset(expires_in=timedelta(seconds=-5))
    dispositions.expire()
    assert "It had left already: expired under 1 min ago." in told(act("delete", asset.pk))[0]


@pytest.mark.parametrize("name", ["promote", "delete", "extend"])
def test_what_never_was_is_not_found(act, name):
    assert act(name, uuid4()).status_code == 404


@pytest.mark.parametrize("name", ["restore", "undo_extension"])
def test_an_entry_that_never_was_is_not_found(act, name):
    assert act(name, 999_999).status_code == 404


@pytest.mark.parametrize("name", ["promote", "delete"])
def test_what_the_database_refuses_is_told_as_text(act, client, with_file, name):
    asset = with_file()
    with connection.cursor() as cursor:
        cursor.execute("""
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION '<b>evidence</b>'; END $$;
            CREATE TRIGGER refuse BEFORE DELETE ON workspace_assets FOR EACH ROW EXECUTE FUNCTION refuse()
        """)
    response = act(name, asset.pk)
    assert response["Location"] == reverse("detail", args=[asset.pk])
    shown = Page(client.get(response["Location"]))
    assert "The database refused: <b>evidence</b>." in shown.text
    assert "<b>evidence" not in shown.html
    assert is_live(asset)
    assert not LibraryAsset.objects.exists()


# --- Extending -----------------------------------------------------------------


def test_extending_gives_seven_days_from_now_and_its_undo_takes_them_back(act, client):
    asset = make_asset(expires_in=timedelta(hours=5))
    page = f"/assets/{asset.pk}/?model=sdxl"
    response = act("extend", asset.pk, {"next": page})
    assert response["Location"] == page
    assert "It expires in 7 days now" in Page(client.get(page)).text
    was, extension = asset.expires_at, Extension.objects.get()
    asset.refresh_from_db()
    assert abs(asset.expires_at - timezone.now() - timedelta(days=7)) < timedelta(minutes=1)
    [text] = told(act("undo_extension", extension.pk))
    assert "It expires when it would have before" in text
    asset.refresh_from_db()
    assert asset.expires_at == was


def test_an_extension_is_undone_once(act):
    asset = make_asset(expires_in=timedelta(hours=5))
    act("extend", asset.pk)
    pk = Extension.objects.get().pk
    act("undo_extension", pk)
    [_, _, text] = told(act("undo_extension", pk))
    assert "Not undone. The asset has left, or its expiry has changed since." in text


def test_an_extension_that_another_followed_is_not_undone(act):
    asset = make_asset(expires_in=timedelta(hours=5))
    act("extend", asset.pk)
    WorkspaceAsset.objects.update(expires_at=timezone.now() + timedelta(days=30))
    assert "Not undone" in told(act("undo_extension", Extension.objects.get().pk))[-1]
    asset.refresh_from_db()
    assert asset.expires_at > timezone.now() + timedelta(days=29)


@pytest.mark.parametrize(
    ("expires_at", "reason"),
    [(None, "It never expires"), (timezone.now() + timedelta(days=30), "It expires later anyway")],
)
def test_what_lives_longer_anyway_is_left_alone(act, expires_at, reason):
    asset = make_asset(expires_at=expires_at)
    [text] = told(act("extend", asset.pk))
    assert f"{reason}: nothing was changed." in text
    assert "Undo" not in text
    assert not Extension.objects.exists()
    asset.refresh_from_db()
    assert asset.expires_at == expires_at


# --- Coming back ---------------------------------------------------------------


def test_restoring_leads_to_the_asset_and_links_to_it(act, client, with_file):
    asset = with_file()
    act("delete", asset.pk)
    response = act("restore", entry_of(asset).pk)
    assert response["Location"] == reverse("detail", args=[asset.pk])
    shown = Page(client.get(response["Location"]))
    assert "Back in the workspace" in shown.text
    entry = entry_of(asset)
    assert entry.restored_by.username == "admins"


def test_a_saved_asset_comes_back_out_of_the_library(act, with_file):
    asset = with_file()
    act("promote", asset.pk)
    act("restore", entry_of(asset).pk)
    assert is_live(asset)
    assert not LibraryAsset.objects.exists()


def test_what_has_come_back_does_not_come_back_again(act):
    asset = make_asset()
    act("delete", asset.pk)
    act("restore", entry_of(asset).pk)
    response = act("restore", entry_of(asset).pk)
    assert "Not brought back. It has been brought back already." in told(response)[-1]
    assert response["Location"] == reverse("removed_entry", args=[entry_of(asset).pk])


@pytest.mark.parametrize(
    ("purged", "reason"),
    [(False, "The time for bringing it back has passed"), (True, "Its files have been removed")],
)
def test_after_the_grace_nothing_comes_back(act, purged, reason):
    asset = make_asset()
    act("delete", asset.pk)
    let_grace_run_out()
    if purged:
        purge()
    assert f"Not brought back. {reason}." in told(act("restore", entry_of(asset).pk))[-1]
    assert not is_live(asset)


def test_what_stands_in_its_place_is_not_replaced(act):
    asset = make_asset()
    act("delete", asset.pk)
    other = make_asset(asset.user, asset.job, asset_index=asset.asset_index)
    text = told(act("restore", entry_of(asset).pk))[-1]
    assert "An asset with its id, or at its place in the job, is in the workspace already" in text
    assert is_live(other)
    assert entry_of(asset).restored_at is None


# --- For scripts ---------------------------------------------------------------


@pytest.mark.parametrize(("name", "how"), [("promote", "saved"), ("delete", "deleted")])
def test_a_script_gets_the_toast_and_is_told_what_left(act, with_file, name, how):
    asset = with_file()
    response = act(name, asset.pk, {"next": "/removed/"}, headers=HTMX)
    assert response.status_code == 200
    assert events(response) == {"left": {"id": str(asset.pk), "how": how}}
    shown = Page(response)
    assert shown.html.count('class="toast') == 1
    assert "<html" not in shown.html
    assert f'data-undo="{reverse("restore", args=[entry_of(asset).pk])}"' in shown.html


def test_a_script_is_told_the_new_expiry(act):
    asset = make_asset(expires_in=timedelta(hours=5))
    was = asset.expires_at
    extended = events(act("extend", asset.pk, headers=HTMX))["extended"]
    asset.refresh_from_db()
    assert extended["id"] == str(asset.pk)
    assert extended["expires_at"] == asset.expires_at.isoformat()
    undone = events(act("undo_extension", Extension.objects.get().pk, headers=HTMX))["extended"]
    assert undone["expires_at"] == was.isoformat()


def test_a_script_is_told_what_came_back(act):
    asset = make_asset()
    act("delete", asset.pk)
    response = act("restore", entry_of(asset).pk, headers=HTMX)
    assert events(response) == {"returned": {"id": str(asset.pk)}}


def test_a_script_is_told_what_had_left_already(act, staff):
    asset = make_asset()
    dispositions.delete([asset.pk], actor=staff)
    response = act("promote", asset.pk, headers=HTMX)
    assert events(response) == {"left": {"id": str(asset.pk), "how": "deleted"}}
    assert "Not saved" in Page(response).text


def test_a_script_is_told_of_a_failure_and_that_nothing_happened(act):
    response = act("promote", make_asset(temp_storage_path="nowhere").pk, headers=HTMX)
    assert response.status_code == 200
    assert events(response) == {}
    assert 'class="toast error" role="alert"' in Page(response).html


def test_messages_that_a_script_showed_do_not_wait_for_the_next_page(act, client):
    act("delete", make_asset().pk, headers=HTMX)
    assert "Deleted" not in Page(client.get("/assets/")).text


# --- Where one is led ----------------------------------------------------------


@pytest.mark.parametrize(
    "wanted",
    [
        "https://elsewhere.example/", "//elsewhere.example/", "/\\elsewhere.example", "\\\\elsewhere.example",
        "http:///elsewhere.example", "http://testserver@elsewhere.example/", "javascript:alert(1)",
        "\thttps://elsewhere.example", "http://[elsewhere", "elsewhere", "library", "..",
    ],
)  # fmt: skip
def test_an_unsafe_next_page_is_not_followed(act, wanted):
    response = act("delete", make_asset().pk, {"next": wanted})
    assert (response.status_code, response["Location"]) == (302, "/assets/")


def test_where_an_asset_left_to_its_old_address_leads(act, client, with_file):
    saved, deleted = with_file(), with_file()
    act("promote", saved.pk)
    act("delete", deleted.pk)
    assert client.get(f"/assets/{saved.pk}/")["Location"] == f"/library/{saved.pk}/"
    assert client.get(f"/assets/{deleted.pk}/")["Location"] == f"/removed/{entry_of(deleted).pk}/"
    LibraryAsset.objects.all().delete()
    assert client.get(f"/assets/{saved.pk}/")["Location"] == f"/removed/{entry_of(saved).pk}/"
    assert client.get(f"/assets/{UUID(int=5)}/").status_code == 404


@pytest.mark.parametrize(
    ("name", "leads_to"),
    [(name, "/assets/") for name in ("promote", "delete", "extend", "undo_extension")]
    + [("restore", "/removed/")]
    + [(name, "/operations/") for name in ("start", "cancel", "retry", "undo")],
)
def test_after_the_session_has_ended_the_login_leads_to_a_page(client, admin, name, leads_to):
    key = uuid4() if name in ("promote", "delete", "extend") else 1
    login = client.post(reverse(name, args=[key]))["Location"]
    assert login == f"/accounts/login/?next={leads_to}"
    assert f'name="next" value="{leads_to}"' in client.get(login).content.decode()
    client.force_login(admin)
    shown = client.get(login, follow=True)  # whoever is logged in is sent on at once, as the form does
    assert (shown.status_code, shown.redirect_chain) == (200, [(leads_to, 302)])
