from django.apps import AppConfig


class AssetsConfig(AppConfig):
    name = "assets"
    verbose_name = "Workspace assets"

    def ready(self) -> None:
        from assets import checks, instants  # noqa: F401 (checks register themselves)

        instants.register()
