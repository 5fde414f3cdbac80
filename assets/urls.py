from django.urls import path

from assets.views import detail, gallery, jobs, media, queries, suggest, system, users

urlpatterns = [
    path("", gallery.gallery, name="home"),
    path("assets/", gallery.gallery, name="gallery"),
    path("assets/count/", gallery.count, name="count"),
    path("assets/<uuid:asset_id>/", detail.detail, name="detail"),
    path("assets/<uuid:asset_id>/settings.json", detail.settings_json, name="settings_json"),
    path("jobs/<uuid:job_id>/", jobs.job, name="job"),
    path("users/<uuid:user_id>/", users.user, name="user"),
    path("queries/", queries.queries, name="queries"),
    path("suggest/users/", suggest.users, name="suggest_users"),
    path("suggest/jobs/", suggest.jobs, name="suggest_jobs"),
    path("media/assets/<uuid:pk>/file", media.asset_file, name="asset_file"),
    path("media/assets/<uuid:pk>/preview", media.asset_preview, name="asset_preview"),
    path("media/library/<uuid:pk>/file", media.library_file, name="library_file"),
    path("media/library/<uuid:pk>/preview", media.library_preview, name="library_preview"),
    path("healthz", system.healthz, name="healthz"),
]
