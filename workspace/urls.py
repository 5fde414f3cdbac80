from django.contrib import admin
from django.contrib.auth import views as auth
from django.contrib.auth.decorators import login_not_required
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", include("assets.urls")),
    path("accounts/login/", auth.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("accounts/logout/", login_not_required(auth.LogoutView.as_view()), name="logout"),
    # Of Django's own, which fails on what is no id: nothing here has a page to view on the site.
    path("admin/r/<path:place>", RedirectView.as_view()),
    path("admin/", admin.site.urls),
]

handler500 = "workspace.refusals.server_error"
