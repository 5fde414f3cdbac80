from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('assets', '0007_roles_of_saved_views'),
    ]

    operations = [
        migrations.CreateModel(
            name='Refresh',
            fields=[
                ('id', models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ('started_at', models.DateTimeField()),
                ('as_of', models.DateTimeField(null=True)),
                ('took', models.DurationField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Rollup',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('kind', models.TextField(choices=[('arrived', 'Arrived'), ('expires', 'Expires'), ('expired_before', 'Expired Before'), ('expires_after', 'Expires After'), ('expires_never', 'Expires Never'), ('model', 'Model'), ('user', 'User'), ('top_user', 'Top User'), ('users', 'Users'), ('models', 'Models'), ('left', 'Left'), ('came_back', 'Came Back')])),
                ('hour', models.DateTimeField(null=True)),
                ('asset_type', models.TextField(null=True)),
                ('model_used', models.TextField(null=True)),
                ('user_id', models.UUIDField(null=True)),
                ('action', models.TextField(null=True)),
                ('count', models.BigIntegerField()),
                ('bytes', models.DecimalField(decimal_places=0, default=0, max_digits=40)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('user_id__isnull', False)), fields=['user_id'], name='rollups_user')],
            },
        ),
    ]
