"""What a file is, by its first bytes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    mime: str
    extension: str  # without a dot
    asset_type: str  # as the product's tables call it


PNG = Format("image/png", "png", "image")
JPEG = Format("image/jpeg", "jpg", "image")
WEBP = Format("image/webp", "webp", "image")
GIF = Format("image/gif", "gif", "image")
AVIF = Format("image/avif", "avif", "image")
MP4 = Format("video/mp4", "mp4", "video")
QUICKTIME = Format("video/quicktime", "mov", "video")
WEBM = Format("video/webm", "webm", "video")
FORMATS = (PNG, JPEG, WEBP, GIF, AVIF, MP4, QUICKTIME, WEBM)

SNIFF_BYTES = 256

_MAGIC = {
    b"\x89PNG\r\n\x1a\n": PNG,
    b"\xff\xd8\xff": JPEG,
    b"GIF87a": GIF,
    b"GIF89a": GIF,
}
_MP4_BRANDS = frozenset(
    b"isom,iso2,iso3,iso4,iso5,iso6,iso7,iso8,iso9,mp41,mp42,mp71,avc1,dash,mmp4,MSNV,M4V ,M4VH,M4VP".split(
        b","
    )
)
_AVIF_BRANDS = frozenset((b"avif", b"avis"))
_HEIF_BRANDS = frozenset((b"mif1", b"msf1"))


def sniff(head: bytes) -> Format | None:
    """The format that the first SNIFF_BYTES of a file begin, of those a browser may be shown."""
    for magic, known in _MAGIC.items():
        if head.startswith(magic):
            return known
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    if head[4:8] == b"ftyp":
        return _sniff_brands(head)
    # Matroska names its document type among the first elements; only WebM's is a browser's.
    if head.startswith(b"\x1a\x45\xdf\xa3") and b"\x42\x82\x84webm" in head[:64]:
        return WEBM
    return None


def _sniff_brands(head: bytes) -> Format | None:
    """The format by the brands that an ISO base media file declares: one major, some compatible."""
    end = min(int.from_bytes(head[:4]), len(head))
    major = head[8:12]
    compatible = {head[start : start + 4] for start in range(16, end, 4)}
    if major in _AVIF_BRANDS or (major in _HEIF_BRANDS and compatible & _AVIF_BRANDS):
        return AVIF
    if major == b"qt  ":
        return QUICKTIME
    return MP4 if major in _MP4_BRANDS else None
