
import assets.lossless
import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('assets', '0005_roles_of_the_ledger'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Review',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('asset_id', models.UUIDField()),
                ('verdict', models.TextField(choices=[('approved', 'approved'), ('flagged', 'flagged'), ('withdrawn', 'verdict withdrawn')])),
                ('note', models.TextField(db_default='')),
                ('reviewed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('superseded_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='SavedView',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=80)),
                ('query', models.TextField(blank=True)),
                ('shared_at', models.DateTimeField(null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.AlterField(
            model_name='disposition',
            name='row',
            field=models.JSONField(decoder=assets.lossless.LosslessDecoder),
        ),
        migrations.AlterField(
            model_name='workspaceasset',
            name='generation_settings',
            field=models.JSONField(db_default={}, decoder=assets.lossless.LosslessDecoder, null=True),
        ),
        migrations.AddIndex(
            model_name='workspaceasset',
            index=django.contrib.postgres.indexes.HashIndex(fields=['original_prompt'], name='assets_prompt'),
        ),
        migrations.AddField(
            model_name='review',
            name='reviewer',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='reviews', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='savedview',
            name='owner',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='saved_views', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddIndex(
            model_name='review',
            index=models.Index(fields=['asset_id', '-id'], name='reviews_asset'),
        ),
        migrations.AddIndex(
            model_name='review',
            index=models.Index(condition=models.Q(('superseded_at', None)), fields=['verdict', '-id'], include=['asset_id'], name='reviews_verdict'),
        ),
        migrations.AddConstraint(
            model_name='review',
            constraint=models.UniqueConstraint(condition=models.Q(('superseded_at', None)), fields=('asset_id',), name='reviews_current'),
        ),
        migrations.AddIndex(
            model_name='savedview',
            index=models.Index(condition=models.Q(('shared_at__isnull', False)), fields=['name'], name='saved_views_shared'),
        ),
        migrations.AddConstraint(
            model_name='savedview',
            constraint=models.UniqueConstraint(fields=('owner', 'name'), name='saved_views_owner_name'),
        ),
    ]
