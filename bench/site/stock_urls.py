"""A plain ModelAdmin, with as many rows a page as the gallery and in its order."""

from django.contrib import admin
from django.urls import path

from assets.models import WorkspaceAsset
from assets.views.gallery import PAGE_SIZE

site = admin.AdminSite(name="admin")


class StockAdmin(admin.ModelAdmin):
    list_display = ("id", "asset_type", "model_used", "user", "created_at", "expires_at", "file_size_bytes")
    list_filter = ("asset_type", "model_used")
    search_fields = ("original_prompt",)
    ordering = ("-created_at",)
    list_per_page = PAGE_SIZE


site.register(WorkspaceAsset, StockAdmin)
urlpatterns = [path("admin/", site.urls)]
