"""The back office: the product's tables to look at, every list bounded as the dashboard's are."""

from collections.abc import Iterable
from datetime import timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.safestring import SafeString

from assets import bulk
from assets.access import VERBS
from assets.counts import Capped, capped_counts
from assets.facets import facet_values
from assets.filters import EXPIRIES, AssetFilterSet
from assets.models import Job, LibraryAsset, Operation, Profile, Verb, WorkspaceAsset
from assets.replica import reads_from_replica
from assets.views.cards import page_url, short_id

CREATED_WINDOWS = {
    "1h": ("hour", timedelta(hours=1)),
    "24h": ("24 hours", timedelta(hours=24)),
    "3d": ("3 days", timedelta(days=3)),
    "7d": ("7 days", timedelta(days=7)),
}

admin.site.site_header = "Workspace Assets"
admin.site.site_title = "Workspace Assets"
admin.site.index_title = "Back office"
admin.site.site_url = None  # the header has its own link to the dashboard
admin.site.disable_action("delete_selected")  # it would know neither ledger nor files


class CappedPaginator(Paginator):
    """Counts and pages no further than a person would leaf; the gallery's pages have no end."""

    CAP = 10_000

    @cached_property
    def count(self) -> int:
        return capped_counts({"rows": Capped(self.object_list, self.CAP)})["rows"][""].number


class BoundedChangeList(ChangeList):
    """Sorts by nothing that has no index, whatever a URL asks for."""

    def get_ordering_field(self, name: str) -> Any:
        return super().get_ordering_field(name) if name in self.sortable_by else None


# --- Filters -----------------------------------------------------------------


class GalleryFilter(admin.SimpleListFilter):
    """One of the gallery's filters."""

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() is None:
            return queryset
        return AssetFilterSet(_query(**{self.parameter_name: self.value()}), queryset).qs


class TypeFilter(GalleryFilter):
    title = "type"
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> Iterable[tuple[str, str]]:
        return [(value, value) for value in facet_values()["asset_type"]]


class ModelFilter(GalleryFilter):
    title = "model"
    parameter_name = "model"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> Iterable[tuple[str, str]]:
        return [(value, value) for value in facet_values()["model_used"]]


class ExpiryFilter(GalleryFilter):
    title = "expiry"
    parameter_name = "expires"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> Iterable[tuple[str, str]]:
        return EXPIRIES.items()


class CreatedFilter(admin.SimpleListFilter):
    """Instead of a date hierarchy, which reads the whole table to offer its years."""

    title = "creation"
    parameter_name = "created"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> Iterable[tuple[str, str]]:
        return [(name, f"in the last {label}") for name, (label, _) in CREATED_WINDOWS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() not in CREATED_WINDOWS:
            return queryset if self.value() is None else queryset.none()
        return queryset.filter(created_at__gte=timezone.now() - CREATED_WINDOWS[self.value()][1])


# --- The product's tables ------------------------------------------------------


class UpstreamAdmin(admin.ModelAdmin):
    """To look at only: rows are changed by the product, and through the dashboard's own actions."""

    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 50
    actions = None
    view_on_site = False

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        # By their columns: following a key to a row that is gone would lose the key as well.
        return [field.attname for field in self.model._meta.concrete_fields]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).select_related(None)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return BoundedChangeList

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Else any column could be looked up in any way, most of which read the whole table."""
        return lookup in {known.parameter_name for known in self.list_filter}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    @method_decorator(reads_from_replica)
    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return super().changelist_view(request, *args, **kwargs)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, term: str
    ) -> tuple[QuerySet, bool]:
        term = term.replace("\0", "").strip()
        return (queryset.filter(self.search(term)) if term else queryset), False

    def search(self, term: str) -> Q:
        """A condition that an index answers."""
        uuid = _uuid(term)
        return Q(pk=uuid) if uuid else Q(pk__in=[])


@admin.register(Profile)
class ProfileAdmin(UpstreamAdmin):
    list_display = ("id", "username", "subscription_status", "token_balance", "created_at", "dashboard")
    ordering = ("username",)
    sortable_by = ("username",)
    search_fields = ("username",)
    search_help_text = "The beginning of a user's name, or a UUID"

    @admin.display(description="dashboard")
    def dashboard(self, profile: Profile) -> SafeString:
        return _link("user", profile.pk, "Open")

    def search(self, term: str) -> Q:
        return super().search(term) if _uuid(term) else Q(username__istartswith=term)


@admin.register(Job)
class JobAdmin(UpstreamAdmin):
    list_display = ("id", "user_link", "job_type", "status", "model_type", "created_at", "dashboard")
    ordering = ("id",)  # the one order that every product database has an index for
    sortable_by = ()
    search_fields = ("id",)
    search_help_text = "The UUID of a job or of its user"

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Of a user newest first, which an index has: by their ids, all of a user's would be sorted."""
        uuid = _uuid(request.GET.get("q", ""))
        of_user = uuid and not Job.objects.filter(pk=uuid).exists()
        return ("-created_at", "-id") if of_user else self.ordering

    @admin.display(description="user")
    def user_link(self, job: Job) -> SafeString | str:
        return _link("user", job.user_id) if job.user_id else "–"

    @admin.display(description="dashboard")
    def dashboard(self, job: Job) -> SafeString:
        return _link("job", job.pk, "Open")

    def search(self, term: str) -> Q:
        return _named_by(Job, term, "pk", "user_id")


class FileAdmin(UpstreamAdmin):
    """Rows that have a file."""

    preview_url: str
    ordering = ("-created_at", "-id")
    sortable_by = ("created_at",)
    search_fields = ("id",)

    @admin.display(description="preview")
    def preview(self, asset: WorkspaceAsset | LibraryAsset) -> SafeString:
        html = '<img class="preview" src="{}" alt="Preview" loading="lazy" width="56" height="56">'
        return format_html(html, page_url(self.preview_url, asset.pk))

    @admin.display(description="id")
    def short_id(self, asset: WorkspaceAsset | LibraryAsset) -> str:
        return short_id(asset.pk)

    @admin.display(description="prompt")
    def prompt(self, asset: WorkspaceAsset | LibraryAsset) -> str:
        return asset.prompt_start

    @admin.display(description="user")
    def user_link(self, asset: WorkspaceAsset | LibraryAsset) -> SafeString:
        return _link("user", asset.user_id)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).annotate(prompt_start=Left("original_prompt", 80))


@admin.register(WorkspaceAsset)
class WorkspaceAssetAdmin(FileAdmin):
    preview_url = "asset_preview"
    list_display = (
        "preview", "short_id", "prompt", "asset_type", "model_used", "user_link", "job_link",
        "created_at", "expires_at", "dashboard",
    )  # fmt: skip
    list_filter = (ExpiryFilter, CreatedFilter, TypeFilter, ModelFilter)
    sortable_by = ("created_at", "expires_at")
    actions = ("save_to_library", "delete_assets", "extend_expiry")
    search_help_text = "Words of the prompt, or the UUID of an asset, a job or a user"

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """What expires soon, soonest first: no index finds the newest of these."""
        return ("expires_at", "id") if "expires" in request.GET else self.ordering

    def get_sortable_by(self, request: HttpRequest) -> tuple[str, ...]:
        return ("expires_at",) if "expires" in request.GET else self.sortable_by

    @admin.action(description="Save to the library …", permissions=["promote"])
    def save_to_library(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse | None:
        return _operate(self, request, queryset, Operation.Action.PROMOTE)

    @admin.action(description="Delete …", permissions=["dispose"])
    def delete_assets(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse | None:
        return _operate(self, request, queryset, Operation.Action.DELETE)

    @admin.action(description="Extend to 7 days from now …", permissions=["extend"])
    def extend_expiry(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse | None:
        return _operate(self, request, queryset, Operation.Action.EXTEND)

    def has_promote_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(VERBS[Verb.PROMOTE])

    def has_dispose_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(VERBS[Verb.DELETE])

    def has_extend_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(VERBS[Verb.EXTEND])

    @admin.display(description="job")
    def job_link(self, asset: WorkspaceAsset) -> SafeString:
        return _link("job", asset.job_id)

    @admin.display(description="dashboard")
    def dashboard(self, asset: WorkspaceAsset) -> SafeString:
        return _link("detail", asset.pk, "Open")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, term: str
    ) -> tuple[QuerySet, bool]:
        if not _uuid(term) and term.strip():
            return AssetFilterSet(_query(q=term), queryset).qs, False
        return super().get_search_results(request, queryset, term)

    def search(self, term: str) -> Q:
        return _named_by(WorkspaceAsset, term, "pk", "job_id", "user_id")


@admin.register(LibraryAsset)
class LibraryAssetAdmin(FileAdmin):
    preview_url = "library_preview"
    list_display = (
        "preview",
        "id",
        "prompt",
        "custom_title",
        "asset_type",
        "model_used",
        "user_link",
        "created_at",
    )
    search_help_text = "The UUID of a saved asset or of its user"

    def search(self, term: str) -> Q:
        return _named_by(LibraryAsset, term, "pk", "user_id")


def _named_by(model: type[Model], term: str, *columns: str) -> Q:
    """By the first of some columns that has a UUID: no index has the order of rows that any of them finds."""
    uuid = _uuid(term)
    if uuid is None:
        return Q(pk__in=[])
    *first, last = columns
    return next(
        (Q(**{c: uuid}) for c in first if model.objects.filter(**{c: uuid}).exists()), Q(**{last: uuid})
    )


def _operate(
    model_admin: admin.ModelAdmin, request: HttpRequest, queryset: QuerySet, action: Operation.Action
) -> HttpResponse | None:
    """As the gallery does it: what is chosen is frozen, and confirmed on the operation's page."""
    if capped_counts({"": Capped(queryset, bulk.FREEZE_AT_ONCE)})[""][""].capped:
        # Only a filter of the gallery's can be frozen in the background, and a request has not the time.
        message = (
            f"These are more than {bulk.FREEZE_AT_ONCE:,} assets, which is too many to choose here; nothing"
            " has been done. Filter them in the gallery and choose “All matching” there."
        )
        model_admin.message_user(request, message, messages.ERROR)
        return None
    operation = bulk.freeze_queryset(queryset, action=action, actor=request.user)
    return redirect("operation", operation.pk)


def _link(name: str, pk: UUID, label: str = "") -> SafeString:
    return format_html('<a href="{}">{}</a>', reverse(name, args=[pk]), label or short_id(pk))


def _query(**values: Any) -> QueryDict:
    query = QueryDict(mutable=True)
    query.update(values)
    return query


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text.strip())
    except ValueError:
        return None
