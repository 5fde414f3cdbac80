from django.urls import include, path

from bench.site import views

urlpatterns = [
    path("bench/bare/", views.bare),
    path("bench/facets/", views.facets),
    path("bench/total/", views.total),
    path("", include("workspace.urls")),
]
