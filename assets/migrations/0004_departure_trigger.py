from django.db import migrations

from assets import departure_trigger


def create(apps, schema_editor):
    schema_editor.execute(departure_trigger.creation(departure_trigger.assets_schema()), params=None)


def remove(apps, schema_editor):
    schema_editor.execute(departure_trigger.removal(departure_trigger.assets_schema()), params=None)


class Migration(migrations.Migration):
    dependencies = [("assets", "0003_ledger_and_operations")]
    # On the product's table: its owner runs what `manage.py departure_trigger --sql` prints.
    operations = [migrations.RunPython(create, remove, hints={"upstream": True})]
