"""Whether browsers get an original by a link, as the type and the name that the link says."""

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from assets.attachment.verdicts import Verdict, ok, problem, warning
from assets.storage import Served, Store

PATIENCE = 15  # seconds
# Neither is what the store would say of the file by itself.
SERVED = Served("image/webp", 'attachment; filename="probe.webp"')


class _Answer(NamedTuple):
    content: bytes
    content_type: str
    disposition: str


def verdicts(store: Store, key: str, content: bytes) -> Iterator[Verdict]:
    """Of a file with this content; none where files come from the dashboard itself."""
    try:
        link = store.link(key, SERVED)
    except Exception as error:  # whatever a storage raises is a verdict
        yield problem(f"Originals cannot be opened: no link can be made ({error}).", "Check S3_PUBLIC_URL.")
        return
    if not link:
        return
    address = "{0.scheme}://{0.netloc}".format(urlsplit(link))
    try:
        answer = _fetch(link, len(content) + 1)  # whoever is there, may send without end
    except urllib.error.HTTPError as error:
        so = f"Originals cannot be opened: {address} answers {error.code} to a link for browsers."
        yield problem(so, "Check S3_PUBLIC_URL, if it is set, and that the service takes presigned links.")
    except (OSError, ValueError, http.client.HTTPException) as error:  # also where it redirects to nowhere
        so = f"Originals may not open: {address}, where browsers are sent for them, does not answer here"
        yield warning(
            f"{so} ({error}).", "Check S3_PUBLIC_URL, and that browsers reach it, whoever else does."
        )
    else:
        yield _of(answer, content)


def _fetch(link: str, at_most: int) -> _Answer:
    with urllib.request.urlopen(link, timeout=PATIENCE) as answer:  # noqa: S310 (of an address of the web)
        said = answer.headers
        return _Answer(
            answer.read(at_most), said.get("Content-Type", ""), said.get("Content-Disposition", "").strip()
        )


def _of(answer: _Answer, content: bytes) -> Verdict:
    if answer.content != content:
        do = "Check S3_PUBLIC_URL: it must be the service that has the buckets."
        return problem("Originals cannot be opened: by a link for browsers, other bytes come.", do)
    if (answer.content_type.partition(";")[0], answer.disposition) != SERVED:
        return warning(
            "The store ignores what a link says of type and name: an original opens as whatever the product"
            " said of it when it was written.",
            "Use a service that takes response-content-type and response-content-disposition, unless nobody"
            " but the product writes there.",
        )
    return ok("A browser gets a file by a link, as what the link says it is.")
