"""Fetches addresses as a person of the group Staff, through the pages that follow where that is asked for.

Reads {address: follow?} as JSON and writes what was answered as JSON. A program of its own
(`python -m tests.fetch_pages`), for settings other than those of the tests.
"""

import json
import sys
from urllib.parse import urljoin

import django


def main():
    django.setup()
    from django.contrib.auth.models import Group, User
    from django.test import Client

    from tests.html import Page

    person = User.objects.create_user("staff", is_staff=True)
    person.groups.add(Group.objects.get(name="Staff"))
    client = Client(headers={"host": "localhost"})
    client.force_login(person)
    answers = {}
    for url, follow in json.load(sys.stdin).items():
        page = Page(client.get(url))
        answers[url] = {"status": page.status, "html": page.html, "ids": page.ids, "errors": page.errors}
        while follow and (following := page.link("next")):
            page = Page(client.get(urljoin(url, following)))
            answers[url]["ids"] += page.ids
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
