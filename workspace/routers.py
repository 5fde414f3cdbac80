"""Keeps migrations away from the product's tables, and leads lists to the replica where there is one."""

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model

from assets import replica

UPSTREAM_MODELS = frozenset({"profile", "job", "workspaceasset", "libraryasset"})


class UpstreamRouter:
    """With `UPSTREAM_TABLES=existing`, no migration touches the product's tables.

    A `RunSQL` or `RunPython` on them names no model: it passes `hints={"upstream": True}`.
    """

    def allow_migrate(
        self, db: str, app_label: str, model_name: str | None = None, **hints: object
    ) -> bool | None:
        if settings.UPSTREAM_TABLES == "own":
            return None
        upstream = app_label == "assets" and model_name in UPSTREAM_MODELS
        return False if upstream or hints.get("upstream") else None


class ReplicaRouter:
    """Only what the dashboard shows is read there: who somebody is and what they may do never."""

    def db_for_read(self, model: type[Model], **hints: object) -> str:
        return replica.alias() if model._meta.app_label == "assets" else DEFAULT_DB_ALIAS

    def db_for_write(self, model: type[Model], **hints: object) -> str:
        return DEFAULT_DB_ALIAS

    def allow_migrate(self, db: str, app_label: str, **hints: object) -> bool | None:
        return False if db == replica.REPLICA else None
