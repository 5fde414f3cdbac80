"""Who somebody is and what they may do, by one statement a request."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.contrib.postgres.fields import ArrayField
from django.db.models import Func, TextField

# Written out, since the ORM takes longer to write it than the database to answer.
_GRANTED = """ARRAY(
    SELECT app_label || '.' || codename FROM auth_permission AS permission
    JOIN django_content_type AS content_type ON content_type.id = permission.content_type_id
    WHERE permission.id IN (
        SELECT permission_id FROM auth_user_user_permissions WHERE user_id = auth_user.id
        UNION ALL
        SELECT permission_id FROM auth_group_permissions JOIN auth_user_groups USING (group_id)
        WHERE user_id = auth_user.id
    )
)"""


class OneStatementBackend(ModelBackend):
    """Reads a person together with their permissions, afresh for every request."""

    def get_user(self, user_id: Any) -> User | None:
        granted = Func(template=_GRANTED, output_field=ArrayField(TextField()))
        person = User.objects.annotate(granted=granted).filter(pk=user_id).first()
        return person if person and self.user_can_authenticate(person) else None

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        granted = getattr(user_obj, "granted", None)
        if granted is None or user_obj.is_superuser or obj is not None:
            return super().get_all_permissions(user_obj, obj)
        return set(granted) if user_obj.is_active else set()
