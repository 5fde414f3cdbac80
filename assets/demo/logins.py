"""One log-in for each role."""

from django.conf import settings
from django.contrib.auth.models import Group, User

from workspace.environment import kept_secret

LOGINS = {"staff": "Staff", "reviewer": "Reviewers", "admin": "Admins"}


def demo_password() -> str:
    """From DEMO_PASSWORD, else made once and kept beside the data."""
    return settings.DEMO_PASSWORD or kept_secret(settings.DATA_DIR / "demo_password", length=9)


def has_other_people() -> bool:
    """Whether anybody uses this dashboard already: their log-ins are not the demo's to change."""
    return User.objects.exclude(username__in=LOGINS).exists()


def make_logins() -> None:
    for name, group in LOGINS.items():
        user, _ = User.objects.get_or_create(username=name)
        user.is_staff = True
        user.set_password(demo_password())
        user.save()
        user.groups.set([Group.objects.get(name=group)])
