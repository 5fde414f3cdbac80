from django.contrib.auth.management import create_permissions
from django.db import migrations

VIEW = ["view_profile", "view_job", "view_workspaceasset", "view_libraryasset"]
REVIEW = ["review_workspaceasset"]
DISPOSE = ["delete_workspaceasset", "promote_workspaceasset", "extend_workspaceasset"]
ROLES = {"Staff": VIEW, "Reviewers": VIEW + REVIEW, "Admins": VIEW + REVIEW + DISPOSE}


def make_roles(apps, schema_editor):
    grant(apps, schema_editor.connection.alias, ROLES)


def grant(apps, using, roles):
    app_config = apps.get_app_config("assets")
    app_config.models_module = True  # else nothing is made: permissions come after all migrations otherwise
    create_permissions(app_config, verbosity=0, using=using, apps=apps)
    app_config.models_module = None
    Group = apps.get_model("auth", "Group")
    Permission = apps.get_model("auth", "Permission")
    for name, codenames in roles.items():
        group, _ = Group.objects.using(using).get_or_create(name=name)
        permissions = Permission.objects.using(using).filter(
            content_type__app_label="assets", codename__in=codenames
        )
        group.permissions.add(*permissions)


class Migration(migrations.Migration):
    dependencies = [
        ("assets", "0001_upstream_tables"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(make_roles, migrations.RunPython.noop)]
