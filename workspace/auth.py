"""Who somebody is and what they may do, by one statement a request."""

from typing import Any

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User

from assets.access import WRITING
from assets.prepared import instances

_PERSON = """SELECT id, password, last_login, is_superuser, username, first_name, last_name, email, is_staff,
    is_active, date_joined, ARRAY(
    SELECT app_label || '.' || codename FROM auth_permission AS permission
    JOIN django_content_type AS content_type ON content_type.id = permission.content_type_id
    WHERE permission.id IN (
        SELECT permission_id FROM auth_user_user_permissions WHERE user_id = auth_user.id
        UNION ALL
        SELECT permission_id FROM auth_group_permissions JOIN auth_user_groups USING (group_id)
        WHERE user_id = auth_user.id
    )
) AS granted FROM auth_user WHERE id = %s"""


class OneStatementBackend(ModelBackend):
    """Reads a person together with their permissions, afresh for every request."""

    def get_user(self, user_id: Any) -> User | None:
        person = next(iter(instances(User.objects, _PERSON, [user_id])), None)
        if person is None or not self.user_can_authenticate(person):
            return None
        return without_writing(person) if settings.READ_ONLY else person

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        granted = getattr(user_obj, "granted", None)
        if granted is None or user_obj.is_superuser or obj is not None:
            return super().get_all_permissions(user_obj, obj)
        return set(granted) if user_obj.is_active else set()


def without_writing(person: User) -> User:
    """With no right to change what is the product's, so that no page offers it."""
    has_perm = person.has_perm

    def may_look(permission: str, obj: Any = None) -> bool:
        return permission not in WRITING and has_perm(permission, obj)

    person.has_perm = may_look  # here, since of superusers Django asks no backend
    return person
