"""What other programs ask: is the dashboard alive."""

from django.contrib.auth.decorators import login_not_required
from django.db import Error, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from assets import replica


@require_safe
@never_cache
@login_not_required
def healthz(request: HttpRequest) -> JsonResponse:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        return JsonResponse({"status": "The database does not answer."}, status=503)
    answer = {"status": "ok"}
    if replica.is_configured():
        answer["replica"] = "ok" if replica.health.is_good() else replica.health.trouble
    return JsonResponse(answer)
