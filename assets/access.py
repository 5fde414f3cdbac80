"""Who may do what, and look-ups that answer 403 or 404.

Three groups hold the permissions: Staff look, Reviewers also write review notes, Admins also save,
extend and delete. Logging in is demanded of every view by Django's LoginRequiredMiddleware.
"""

from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

from django.contrib.auth.decorators import permission_required
from django.db.models import QuerySet
from django.http import Http404, HttpResponse

from assets.models import Job, Profile, WorkspaceAsset

View = Callable[..., HttpResponse]

VIEW_ASSETS = "assets.view_workspaceasset"


def viewers_only(view: View) -> View:
    return permission_required(VIEW_ASSETS, raise_exception=True)(view)


def asset_or_404(asset_id: UUID, assets: QuerySet[WorkspaceAsset] | None = None) -> WorkspaceAsset:
    queryset = WorkspaceAsset.objects.all() if assets is None else assets
    asset = queryset.filter(id=asset_id).first()
    if asset is None:
        raise Http404(
            "There is no such asset in the workspace: it may have expired, been saved or been deleted."
        )
    return asset


class Parent(NamedTuple):
    """A user or a job, of which either the row or some assets may be left."""

    id: UUID
    row: Profile | Job | None
    assets: QuerySet[WorkspaceAsset]


def user_or_404(user_id: UUID) -> Parent:
    return _parent_or_404(user_id, Profile, WorkspaceAsset.objects.for_user(user_id))


def job_or_404(job_id: UUID) -> Parent:
    return _parent_or_404(job_id, Job, WorkspaceAsset.objects.for_job(job_id))


def _parent_or_404(pk: UUID, model: type[Profile | Job], assets: QuerySet[WorkspaceAsset]) -> Parent:
    row = model.objects.filter(pk=pk).first()
    if row is None and not assets.exists():
        raise Http404(f"There is no such {'user' if model is Profile else 'job'}, and no asset of it.")
    return Parent(pk, row, assets)
