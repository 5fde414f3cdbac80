"""What `manage.py attach` finds out about stores, be they folders or buckets; it leaves nothing there."""

import pytest

from assets.attachment import samples, stores
from assets.attachment.verdicts import Level
from assets.storage import LIBRARY, WORKSPACE, Store
from tests import s3
from workspace.stores import BUCKET, FOLDER

PREFIX = "some/where"
ALIASES = ("workspace", "library")


@pytest.fixture(scope="module")
def server():
    made = s3.Server()
    yield made
    made.stop()


class Buckets:
    def __init__(self, server):
        self.server, self.s3 = server, server.client()
        for alias in ALIASES:
            self.s3.create_bucket(Bucket=f"attached-{alias}")
        self.put("workspace", "there.png")

    def put(self, alias, key):
        self.s3.put_object(Bucket=f"attached-{alias}", Key=f"{PREFIX}/{key}", Body=b"bytes")

    def storage(self, alias):
        service = {"endpoint_url": self.server.url, "region_name": "us-east-1", "public_url": ""}
        return {
            "BACKEND": BUCKET,
            "OPTIONS": {"bucket_name": f"attached-{alias}", "location": PREFIX} | service,
        }

    def keys(self, alias):
        return [key.removeprefix(f"{PREFIX}/") for key in s3.bucket_of(f"attached-{alias}").keys]

    def close(self):
        for alias in ALIASES:
            s3.empty(f"attached-{alias}")


class Folders:
    def __init__(self, folder):
        self.folder = folder
        for alias in ALIASES:
            (folder / alias).mkdir()
        self.put("workspace", "there.png")

    def put(self, alias, key):
        (self.folder / alias / key).write_bytes(b"bytes")

    def storage(self, alias):
        return {"BACKEND": FOLDER, "OPTIONS": {"location": self.folder / alias}}

    def keys(self, alias):
        return [path.name for path in (self.folder / alias).iterdir()]


@pytest.fixture
def buckets(server, settings, monkeypatch):
    for name, value in s3.KEYS.items():
        monkeypatch.setenv(name, value)
    made = Buckets(server)
    settings.STORAGES = settings.STORAGES | {alias: made.storage(alias) for alias in ALIASES}
    yield made
    made.close()


@pytest.fixture
def folders(settings, tmp_path):
    made = Folders(tmp_path)
    settings.STORAGES = settings.STORAGES | {alias: made.storage(alias) for alias in ALIASES}
    return made


@pytest.fixture(params=["folders", "buckets"])
def places(request):
    return request.getfixturevalue(request.param)


def levels(verdicts):
    return {str(verdict.level) for verdict in verdicts}


def problems(verdicts):
    return [f"{verdict.so} {verdict.do}" for verdict in verdicts if verdict.level == Level.PROBLEM]


# --- What both kinds can do --------------------------------------------------


@pytest.mark.parametrize(("kind", "number"), [("folders", 7), ("buckets", 8)])
def test_all_that_the_dashboard_does_with_files_is_tried_and_nothing_is_left(request, kind, number):
    places = request.getfixturevalue(kind)
    said = list(stores.probe())
    assert levels(said) == {"ok"}, problems(said)
    assert len(said) == number
    assert (places.keys("workspace"), places.keys("library")) == (["there.png"], [])


def test_stores_are_named_as_their_variables_name_them(places):
    workspace, library = stores.listings()
    assert (workspace.level, library.level) == (Level.OK, Level.NOTE)
    assert stores.where(WORKSPACE) in workspace.so
    assert "LIBRARY_STORE" in library.do


def test_what_was_written_is_removed_when_a_person_interrupts(places, monkeypatch):
    def interrupt(*args):
        assert len(places.keys("workspace")) == 2
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "copy_from", interrupt)
    with pytest.raises(KeyboardInterrupt):
        list(stores.probe())
    assert (places.keys("workspace"), places.keys("library")) == (["there.png"], [])


def test_a_copy_that_arrives_though_it_is_said_to_have_failed_is_removed_as_well(places, monkeypatch):
    copy_from = Store.copy_from

    def fail(*args):
        copy_from(*args)
        raise OSError("cut off")

    monkeypatch.setattr(Store, "copy_from", fail)
    (problem,) = problems(stores.probe())
    assert "Saving fails" in problem
    assert "cut off" in problem
    assert places.keys("library") == []


# --- What can be wrong -------------------------------------------------------


def test_a_place_that_is_no_folder_can_neither_be_listed_nor_written_to(folders):
    (folders.folder / "workspace" / "there.png").unlink()
    (folders.folder / "workspace").rmdir()
    (folders.folder / "workspace").write_bytes(b"")
    workspace, _ = stores.listings()
    assert workspace.level == Level.PROBLEM
    assert "cannot be written to" in problems(stores.probe())[0]


def test_a_bucket_that_is_not_there_is_told(buckets, settings):
    options = buckets.storage("workspace")["OPTIONS"] | {"bucket_name": "absent"}
    settings.STORAGES = settings.STORAGES | {"workspace": {"BACKEND": BUCKET, "OPTIONS": options}}
    workspace, _ = stores.listings()
    assert workspace.level == Level.PROBLEM
    assert "s3://absent/some/where" in workspace.so
    assert "does not exist" in workspace.so


def test_keys_that_may_not_write_are_told_what_to_do(buckets, settings):
    with buckets.server.failing(s3.refusal("AccessDenied", method="PUT")):
        first, *others = stores.probe()
        settings.READ_ONLY = True
        assert [verdict.level for verdict in stores.probe()] == [Level.NOTE, Level.UNKNOWN]
    assert first.level == Level.PROBLEM
    assert "READ_ONLY=1" in first.do
    assert levels(others) == {"cannot tell"}


def test_keys_that_may_not_write_into_the_library_fail_at_saving_alone(buckets):
    def refuse_the_library(environ, start_response):
        if environ["PATH_INFO"].startswith("/attached-library"):
            return s3.refusal("AccessDenied", method="PUT")(environ, start_response)
        return None

    with buckets.server.failing(refuse_the_library):
        assert [problem[:12] for problem in problems(stores.probe())] == ["Saving fails"]
    assert buckets.keys("workspace") == ["there.png"]


def test_keys_that_may_not_remove_are_told_what_is_left(buckets):
    with buckets.server.failing(s3.refusal("AccessDenied", method="POST")):
        first, second = problems(stores.probe())
    (left,) = set(buckets.keys("workspace")) - {"there.png"}
    assert f"Remove {left} there by hand" in first
    assert "library" in second


def test_a_store_that_ignores_ranges_is_told(buckets):
    def forget_the_range(environ, start_response):
        environ.pop("HTTP_RANGE", None)

    with buckets.server.failing(forget_the_range):
        assert any("the header Range" in problem for problem in problems(stores.probe()))


# --- Links for browsers ------------------------------------------------------


def of_a_link(said):
    """Of all that is said, what is not well; nothing that is written is left."""
    (found,) = [verdict for verdict in said if verdict.level != Level.OK]
    return found


def of_links_alone(fault):
    return lambda environ, start: (
        fault(environ, start) if "X-Amz-Signature" in environ["QUERY_STRING"] else None
    )


def test_a_service_that_takes_no_links_is_told(buckets):
    with buckets.server.failing(of_links_alone(s3.refusal("AccessDenied"))):
        found = of_a_link(stores.probe())
    assert (found.level, "answers 403" in found.so) == (Level.PROBLEM, True)
    assert buckets.keys("workspace") == ["there.png"]


def test_a_service_that_ignores_what_a_link_says_is_told(buckets):
    def forget(environ, start_response):
        environ["QUERY_STRING"] = environ["QUERY_STRING"].replace("response-content-", "x-")

    with buckets.server.failing(of_links_alone(forget)):
        found = of_a_link(stores.probe())
    assert (found.level, "ignores what a link says" in found.so) == (Level.WARNING, True)


def test_a_link_to_another_file_is_told(buckets):
    with buckets.server.failing(of_links_alone(s3.answer("GET", "<html>"))):
        found = of_a_link(stores.probe())
    assert (found.level, "other bytes come" in found.so) == (Level.PROBLEM, True)


def test_of_a_link_no_more_is_read_than_the_file_has(buckets):
    sent = [0]

    def without_end(environ, start_response):
        start_response("200 OK", [("Content-Type", "video/mp4")])
        for sent[0] in range(2_000):
            yield b"x" * 65_536

    with buckets.server.failing(of_links_alone(without_end)):
        assert "other bytes come" in of_a_link(stores.probe()).so
    assert sent[0] < 1_999


def test_a_link_that_leads_to_nowhere_is_told(buckets):
    def lead(environ, start_response):
        start_response("302 Found", [("Location", "http://a..b/"), ("Content-Length", "0")])
        return []

    with buckets.server.failing(of_links_alone(lead)):
        found = of_a_link(stores.probe())
    assert (found.level, "does not answer here" in found.so) == (Level.WARNING, True)


def known_to_browsers_as(url, buckets, settings):
    place = buckets.storage("workspace")
    place = place | {"OPTIONS": place["OPTIONS"] | {"public_url": url}}
    settings.STORAGES = settings.STORAGES | {"workspace": place}


def test_an_address_for_browsers_that_does_not_answer_is_told(buckets, settings):
    known_to_browsers_as("http://127.0.0.1:9", buckets, settings)
    found = of_a_link(stores.probe())
    assert (found.level, "http://127.0.0.1:9, where browsers" in found.so) == (Level.WARNING, True)
    assert "S3_PUBLIC_URL" in found.do


@pytest.mark.parametrize("url", ["http://a..b", "http://127.0.0.1:70000"])
def test_an_address_for_browsers_that_is_none_is_told(buckets, settings, url):
    known_to_browsers_as(url, buckets, settings)
    found = of_a_link(stores.probe())
    assert (found.level, "no link can be made" in found.so) == (Level.PROBLEM, True)
    assert buckets.keys("workspace") == ["there.png"]


# --- The files that rows name ------------------------------------------------


def sample(*paths):
    return samples.Sample(WORKSPACE, "workspace_assets", list(paths))


def test_rows_whose_files_are_there_are_well(places):
    paths = ["there.png"] * 9 + ["workspace-temp/there.png"] * 2 + ["gone.png"]
    assert samples.verdict(sample(*paths)).level == Level.OK


def test_another_prefix_is_seen_by_the_files_that_are_not_there(places):
    said = samples.verdict(sample(*["user/there.png"] * 20))
    assert (said.level, "none has its file" in said.so) == (Level.PROBLEM, True)
    assert "user/there.png" in said.do


def test_some_files_that_are_not_there_are_told_with_their_reasons(places):
    secret = "https://x.example/elsewhere/a.png?token=secret"
    said = samples.verdict(sample("there.png", "gone.png", secret, "../a", "\x1b[2J"))
    assert said.level == Level.WARNING
    assert "not in this store" in said.do
    assert "leaves the store" in said.do
    assert "secret" not in said.do + samples.verdict(sample(secret)).do
    assert "\x1b" not in samples.verdict(sample("\x1b[2J")).do


def test_a_few_rows_prove_nothing_and_none_say_so():
    assert samples.verdict(samples.Sample(LIBRARY, "user_library", [])).level == Level.NOTE
    assert samples.verdict(sample("gone.png")).level == Level.WARNING


def test_a_table_that_cannot_be_read_is_not_taken_for_an_empty_one():
    said = samples.verdict(samples.Sample(WORKSPACE, "workspace_assets", [], "permission denied"))
    assert said.level == Level.UNKNOWN


def test_a_store_that_does_not_answer_is_asked_for_one_file_alone(buckets):
    buckets.server.requests.clear()
    with buckets.server.failing(s3.refusal("SlowDown", "503 Slow Down")):
        said = samples.verdict(sample(*["there.png"] * 50))
    assert said.level == Level.PROBLEM
    assert "too busy" in said.do
    assert len(buckets.server.requests) <= 5
