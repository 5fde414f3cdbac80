"""Keeps migrations away from tables that belong to the product."""

from django.conf import settings

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
