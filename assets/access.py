"""Who may do what, and look-ups that answer 403 or 404.

Three groups hold the permissions: Staff look, Reviewers also write review notes, Admins also save,
extend and delete. Logging in is demanded of every view by Django's LoginRequiredMiddleware.
"""

from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

from django.contrib.auth.decorators import user_passes_test
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpResponse

from assets.models import Disposition, Job, LibraryAsset, Operation, Profile, SavedView, Verb, WorkspaceAsset
from assets.read_only import refuse_if_read_only

View = Callable[..., HttpResponse]

VIEW_ASSETS = "assets.view_workspaceasset"
VIEW_LIBRARY = "assets.view_libraryasset"
VIEW_LEDGER = "assets.view_disposition"
VIEW_OPERATIONS = "assets.view_operation"
REVIEW = "assets.review_workspaceasset"
RESTORE = "assets.restore_disposition"
DELETE_SHARED_VIEWS = "assets.delete_savedview"
VERBS = {
    Verb.PROMOTE: "assets.promote_workspaceasset",
    Verb.DELETE: "assets.delete_workspaceasset",
    Verb.EXTEND: "assets.extend_workspaceasset",
}
WRITING = frozenset({*VERBS.values(), RESTORE})  # which nobody has where the dashboard is read only


def only_with(permission: str) -> Callable[[View], View]:
    def check(user: User) -> bool:
        if permission in WRITING:
            refuse_if_read_only()
        if not user.has_perm(permission):
            raise PermissionDenied
        return True

    return user_passes_test(check)


viewers_only = only_with(VIEW_ASSETS)


def may_run(user: User, action: str) -> bool:
    """Whether somebody may do to many assets what they may do to one."""
    keeps = (Verb.PROMOTE, Verb.DELETE)
    verbs = keeps if action == Operation.Action.KEEP else (Verb(action),)
    return all(user.has_perm(VERBS[verb]) for verb in verbs)


def check_may_run(user: User, action: str) -> None:
    refuse_if_read_only()
    if not may_run(user, action):
        raise PermissionDenied


def asset_or_404(asset_id: UUID, assets: QuerySet[WorkspaceAsset] | None = None) -> WorkspaceAsset:
    queryset = WorkspaceAsset.objects.all() if assets is None else assets
    asset = queryset.filter(id=asset_id).first()
    if asset is None:
        raise no_such_asset()
    return asset


def no_such_asset() -> Http404:
    return Http404(
        "There is no such asset in the workspace: it may have expired, been saved or been deleted."
    )


def operation_or_404(pk: int) -> Operation:
    operation = Operation.objects.select_related("actor", "undone_by").filter(pk=pk).first()
    if operation is None:
        raise Http404("There is no such operation: one that nobody confirms is put away after a day.")
    return operation


def own_view_or_404(user: User, pk: int, *, or_with: str = "") -> SavedView:
    """A view to change: one's own, or with a permission what others share. Private ones nobody else sees."""
    view = SavedView.objects.visible_to(user).filter(pk=pk).first()
    if view is None:
        raise Http404("There is no such view, or it is somebody else's own.")
    if view.owner_id != user.pk and not (or_with and user.has_perm(or_with)):
        raise PermissionDenied
    return view


def disposition_or_404(pk: int, entries: QuerySet[Disposition] | None = None) -> Disposition:
    queryset = Disposition.objects.all() if entries is None else entries
    entry = queryset.select_related("actor", "restored_by").filter(pk=pk).first()
    if entry is None:
        raise Http404("There is no such entry in the ledger.")
    return entry


def saved_or_404(asset_id: UUID) -> LibraryAsset:
    saved = LibraryAsset.objects.filter(id=asset_id).first()
    if saved is None:
        raise Http404("There is no such asset in the library.")
    return saved


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
