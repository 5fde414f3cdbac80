"""Filters of the gallery that somebody gave a name."""

from typing import Self

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models
from django.db.models.functions import Now

from assets.prepared import instances

_VIEW = """SELECT view.id, name, query, owner_id, shared_at, created_at, username AS owner_name
    FROM assets_savedview AS view JOIN auth_user ON auth_user.id = owner_id"""
_BY_NAME = f"""
    ({_VIEW} WHERE owner_id = %(user)s ORDER BY name LIMIT %(at_most)s)
    UNION ALL
    ({_VIEW} WHERE shared_at IS NOT NULL AND owner_id <> %(user)s ORDER BY name, view.id LIMIT %(at_most)s)
"""


class SavedViewQuerySet(models.QuerySet["SavedView"]):
    def visible_to(self, user: User) -> Self:
        return self.filter(models.Q(owner=user) | models.Q(shared_at__isnull=False))

    def by_name(self, user: User, at_most: int) -> list["SavedView"]:
        """A person's own and those that others share, so many of each, by one query, with their owners."""
        return instances(self, _BY_NAME, {"user": user.pk, "at_most": at_most})


class SavedView(models.Model):
    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=80)
    query = models.TextField(blank=True)  # the gallery's query string, without a cursor
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="saved_views", db_index=False
    )
    shared_at = models.DateTimeField(null=True)  # null: the owner's alone
    created_at = models.DateTimeField(db_default=Now())

    objects = SavedViewQuerySet.as_manager()

    class Meta:
        constraints = [
            # A person's views by name.
            models.UniqueConstraint(fields=["owner", "name"], name="saved_views_owner_name"),
        ]
        indexes = [
            # What everybody shares.
            models.Index(
                fields=["name"], name="saved_views_shared", condition=models.Q(shared_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.name
