"""All that an administrator and the worker do, once each, and what was said of it.

A program of its own (`python -m tests.whole_life`), for settings and roles other than those of the tests.
Reads {"assets": [ids of six with files, the last expired], "file": of a picture, "user": its owner} as JSON.
"""

import io
import json
import sys

import django


def main():
    django.setup()
    from tests.whole_life import Life

    json.dump(Life(**json.load(sys.stdin)).live(), sys.stdout)


class Life:
    def __init__(self, assets, file, user):
        from django.contrib.auth.models import Group, User
        from django.test import Client

        self.assets, self.file, self.user = assets, file, user
        person = User.objects.create_user("admin", is_staff=True, is_superuser=True)
        person.groups.add(Group.objects.get(name="Admins"))
        self.client = Client(headers={"host": "localhost"}, raise_request_exception=False)
        self.client.force_login(person)

    def live(self):
        first, second, *several, expired = self.assets
        said = {
            "pages": self.look(),
            "save": self.post(f"/assets/{first}/promote", title="A fox"),
            "look at what is saved": self.status(f"/library/{first}/"),
            "bring it back": self.restore(first),
            "delete": self.post(f"/assets/{second}/delete"),
            "restore": self.restore(second),
            "extend": self.post(f"/assets/{expired}/extend"),
            "take the extension back": self.take_back(),
        }
        said |= self.operate("promote", several)
        said |= {
            "review": self.post(f"/assets/{first}/review", verdict="approved", note="good"),
            "view": self.post("/views/", name="foxes", filter="q=fox"),
            "expire": self.command("expire_assets", "--yes", "--json"),
            "purge": self.purge(),
            "reconcile": self.command("reconcile", "--json", keys=["orphans"]),
            "remove orphans": self.command("reconcile", "--yes", "--json", keys=["orphans", "removed"]),
            "ingest": self.command("ingest", self.file, "--user", self.user, "--json", keys=["registered"]),
            "refresh": self.command("refresh_overview", "--json", keys=[]),
            "advice": self.command("index_advice", "--json", keys=[]),
            "settings": self.look_at_settings(),
            "pages after": self.look(),
        }
        return said

    # --- By hand ---------------------------------------------------------------

    def look(self):
        """The pages that did not answer as they should, with what they answered."""
        found = {url: self.status(url) for url in self.pages()}
        return {url: status for url, status in found.items() if status != 200}

    def pages(self):
        from assets.models import Disposition, Operation, WorkspaceAsset

        yield from ["/healthz", "/assets/", "/assets/?view=table&q=fox&setting=steps=30", "/assets/count/"]
        yield from ["/library/", "/removed/", "/operations/", "/views/", "/overview/", "/queries/"]
        yield from [f"/{name}/export.{form}" for name in ("assets", "library", "removed") for form in FORMS]
        yield from ["/suggest/users/?q=a", "/suggest/jobs/", "/suggest/settings/?q=s", "/assets/settings/"]
        yield from [f"/admin/assets/{name}/" for name in ("profile", "job", "workspaceasset", "libraryasset")]
        try:
            live = list(WorkspaceAsset.objects.filter(id__in=self.assets).order_by("id")[:2])
        except django.db.ProgrammingError:
            return
        for asset in live[:1]:
            about = (f"/assets/{asset.id}/", "settings.json", "embedded/")
            yield from [about[0], *(about[0] + part for part in about[1:])]
            yield from [f"/users/{asset.user_id}/", f"/jobs/{asset.job_id}/"]
            yield from [f"/media/assets/{asset.id}/file", f"/media/assets/{asset.id}/preview"]
        yield "/assets/compare/?" + "&".join(f"id={asset.id}" for asset in live)
        yield from [f"/removed/{pk}/" for pk in Disposition.objects.values_list("id", flat=True)]
        for pk in Operation.objects.values_list("id", flat=True):
            yield from [f"/operations/{pk}/", f"/operations/{pk}.json", f"/operations/{pk}.csv"]

    def status(self, url):
        response = self.client.get(url)
        content = b"".join(response.streaming_content) if response.streaming else response.content
        return 200 if response.status_code == 200 and content else response.status_code

    def post(self, url, **data):
        """The status and the messages."""
        from tests.html import Page

        page = Page(self.client.post(url, data, headers={"HX-Request": "true"}))
        return [page.status, page.text if page.status != 302 else ""]

    def restore(self, asset):
        from assets.models import Disposition

        entry = Disposition.objects.filter(asset_id=asset).last()
        return self.post(f"/removed/{entry.id if entry else 1}/restore")

    def take_back(self):
        from assets.models import Extension

        extension = Extension.objects.last()
        return self.post(f"/extensions/{extension.id if extension else 1}/undo")

    # --- By the worker ---------------------------------------------------------

    def operate(self, action, assets):
        from assets.models import Operation
        from tests.html import Page

        made = self.client.post("/operations/", {"action": action, "ids": assets})
        operation = Operation.objects.last()
        if operation is None:
            return {"operation": [made.status_code, Page(made).text]}
        url = f"/operations/{operation.id}"
        started = self.post(f"{url}/start")[0]
        self.work()
        done = self.client.get(f"{url}.json").json()
        reasons = sorted(set(operation.items.values_list("reason", flat=True)))
        undone = self.post(f"{url}/undo")[0]
        self.work()
        names = ("state", "done", "failed", "undone")
        after = self.client.get(f"{url}.json").json()
        return {
            "operation": [made.status_code, started, *(done[name] for name in names), reasons],
            "undo": [undone, *(after[name] for name in names)],
        }

    def work(self):
        from procrastinate.contrib.django import app

        app.periodic_registry.periodic_tasks.clear()
        with app.replace_connector(app.connector.get_worker_connector()):
            app.run_worker(wait=False, install_signal_handlers=False, listen_notify=False)

    def look_at_settings(self):
        from assets import known_settings
        from assets.models import SettingKey

        try:
            known_settings.look()
        except django.db.ProgrammingError as error:
            return str(error)
        return sorted(SettingKey.objects.values_list("key", flat=True))

    # --- On the command line ---------------------------------------------------

    def purge(self):
        """When all that left is due."""
        from assets.models import Disposition

        Disposition.objects.filter(purge_after__isnull=False).update(
            purge_after=django.db.models.functions.Now()
        )
        return self.command("purge_files", "--yes", "--json")

    def command(self, *arguments, keys=("done", "failed")):
        """The exit status and what was said, of JSON some keys."""
        from django.core.management import call_command

        out = io.StringIO()
        try:
            call_command(*arguments, stdout=out)
        except SystemExit as end:
            return [end.code, *map(json.loads(out.getvalue()).get, keys)]
        except Exception as error:  # as manage.py says it
            from workspace.refusals import in_words

            return [getattr(error, "returncode", 1), in_words(error)]
        return [0, *map(json.loads(out.getvalue()).get, keys)]


FORMS = ("csv", "json")

if __name__ == "__main__":
    main()
