"""Reads how a picture or a video was made out of the texts that its generator wrote into it.

A part of decoder.py, for its process alone: Pillow and the parsers see what strangers wrote.
"""

import contextlib
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any, BinaryIO

from PIL import Image
from sd_parsers.data import PromptInfo
from sd_parsers.parsers import MANAGED_PARSERS, Parser

Texts = dict[str, Any]

MAX_TEXT = 1024 * 1024  # characters
MAX_BYTES = 4 * 1024 * 1024  # of the answer, which has them twice
MAX_PIXELS = 100_000_000
FORMATS = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/avif": "AVIF",
}
TECHNICAL_TAGS = {
    "major_brand", "minor_version", "compatible_brands", "creation_time", "encoder", "handler_name",
    "language", "vendor_id", "duration",
}  # fmt: skip
WRITTEN_IN_TAGS = ("prompt", "workflow", "parameters")  # as "prompt:{…}" in tags that mean something else
HIDDEN_MARK = b"stealth_pngcomp"
LOWEST_BITS = bytes(ord("0") + byte % 2 for byte in range(256))

Image.MAX_IMAGE_PIXELS = None  # judged here, where pixels are decoded


class Unreadable(Exception):  # noqa: N818 (an answer, not a failure)
    """Why there is no metadata, as a sentence."""


def as_json(readings: Iterable[Texts]) -> bytes:
    """What the first of the readings that is understood says; else all texts as they are."""
    found: Texts = {}
    try:
        for texts in readings:
            found |= texts
            if sum(len(str(text)) for text in found.values()) > MAX_TEXT:
                raise Unreadable("The metadata is larger than a million characters")
            if understood := first_understood(texts):
                return encoded(understood | {"raw": texts})
    except (Unreadable, MemoryError):
        raise
    except Exception as error:  # of Pillow, on files that lie
        if not found:
            raise Unreadable(sentence_for(error)) from error
    if not found:
        raise Unreadable("The file carries no generation metadata")
    return encoded({"raw": found})


def sentence_for(error: Exception) -> str:
    text = str(error).lower()
    if "too large" in text:
        return "The metadata is too large to be read"
    return "The file is truncated" if "truncated" in text else "The file or its metadata is damaged"


def encoded(found: dict[str, Any]) -> bytes:
    content = json.dumps(found, default=str).encode()
    if len(content) > MAX_BYTES:
        raise Unreadable("The metadata is too large to be read")
    return content


# --- The texts in a file -----------------------------------------------------


def tag_texts(tags: dict[str, str]) -> Texts:
    """Those of a video that are not about its encoding."""
    lower = {key.lower(): text for key, text in tags.items()}
    return {key: text for key, text in lower.items() if key not in TECHNICAL_TAGS}


def picture_texts(reader: BinaryIO, mime: str) -> Iterator[Texts]:
    with Image.open(reader, formats=[FORMATS[mime]]) as image:
        yield header_texts(image)
        if image.format == "PNG":
            if image.width * image.height > MAX_PIXELS:
                raise Unreadable("The picture is too large to be searched for hidden metadata")
            image.load()
            yield header_texts(image)  # with what stands behind the pixels
            if image.mode == "RGBA":
                yield hidden_texts(image.getchannel("A"))


def header_texts(image: Image.Image) -> Texts:
    texts = {key: str(text) for key, text in image.info.items() if isinstance(text, str)}
    texts.pop("XML:com.adobe.xmp", None)
    if comment := image.info.get("comment"):
        texts["comment"] = comment if isinstance(comment, str) else comment.decode(errors="replace")
    if image.format != "PNG" or "exif" in image.info:  # of a PNG that has none, Pillow would decode all
        texts |= exif_texts(image.getexif())
    return texts


def exif_texts(exif: Image.Exif) -> Texts:
    texts = {}
    for text in exif.values():
        key, colon, rest = text.partition(":") if isinstance(text, str) else ("", "", "")
        if colon and key.lower() in WRITTEN_IN_TAGS:
            texts[key.lower()] = rest
    if description := exif.get(0x010E):
        texts["description"] = str(description)
    if comment := exif.get_ifd(0x8769).get(0x9286):
        texts["usercomment"] = comment if isinstance(comment, str) else decoded_comment(comment)
    return texts


def decoded_comment(comment: bytes) -> str:
    """The text after the eight bytes that name its encoding; UTF-16 by where most zeros are."""
    name, text = comment[:8], comment[8:]
    if name == b"UNICODE\0":
        is_big = text[::2].count(0) >= text[1::2].count(0)
        return text.decode("utf-16-be" if is_big else "utf-16-le", errors="replace")
    return (text if name in (b"ASCII\0\0\0", bytes(8)) else comment).decode(errors="replace")


def hidden_texts(alpha: Image.Image) -> Texts:
    """What is hidden in the lowest bits of the alpha, column by column."""
    bits = alpha.transpose(Image.Transpose.TRANSPOSE).tobytes().translate(LOWEST_BITS)
    start = 8 * len(HIDDEN_MARK)
    if len(bits) < start + 32 or packed_bits(bits[:start]) != HIDDEN_MARK:
        return {}
    packed = packed_bits(bits[start + 32 : start + 32 + int(bits[start : start + 32], 2)])
    text = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(packed, MAX_TEXT).decode()
    with contextlib.suppress(ValueError):
        if isinstance(said := json.loads(text), dict):
            return said
    return {"parameters": text} if text else {}


def packed_bits(bits: bytes) -> bytes:
    whole = len(bits) // 8
    return int(bits[: whole * 8] or b"0", 2).to_bytes(whole)


# --- What they mean ----------------------------------------------------------


def first_understood(texts: Texts) -> dict[str, Any] | None:
    readings = (parsed(parser(), candidate) for candidate in candidates(texts) for parser in MANAGED_PARSERS)
    return next(filter(None, readings), None)


def parsed(parser: Parser, texts: Texts) -> dict[str, Any] | None:
    try:
        return described(parser.parse(texts))
    except MemoryError:
        raise
    except Exception:  # of another generator, or damaged
        return None


def candidates(texts: Texts) -> Iterator[Texts]:
    """The texts as parsers want them, and as those know them who write all into one comment."""
    yield from with_graph(texts)
    for key in ("usercomment", "comment", "description"):
        if text := texts.get(key):
            with contextlib.suppress(ValueError, RecursionError):
                if isinstance(said := json.loads(text), dict):
                    yield from with_graph(said)
            yield {"parameters": text}


def with_graph(texts: Texts) -> Iterator[Texts]:
    """With the links of ComfyUI's graph as it ran: the workflow drawn beside it may lack them."""
    graph = texts.get("prompt")
    with contextlib.suppress(ValueError, RecursionError):
        graph = json.loads(graph) if isinstance(graph, str) else graph
    if not isinstance(graph, dict):
        yield texts
    elif any(isinstance(node, dict) and "class_type" in node for node in graph.values()):
        yield {"prompt": graph, "workflow": {"links": list(links_of(graph))}}


def links_of(graph: dict[str, Any]) -> Iterator[list[Any]]:
    for node_id, node in graph.items():
        inputs = node.get("inputs") if isinstance(node, dict) else None
        for name, value in inputs.items() if isinstance(inputs, dict) else ():
            if isinstance(value, list) and len(value) == 2:
                yield [0, str(value[0]), value[1], node_id, 0, name.upper()]


def described(info: PromptInfo) -> dict[str, Any]:
    return {
        "generator": info.generator.value,
        "prompt": ", ".join(map(str, info.prompts)),
        "negative_prompt": ", ".join(map(str, info.negative_prompts)),
        "prompt_details": [prompt.metadata for prompt in info.prompts if prompt.metadata],
        "samplers": [
            {
                "name": sampler.name,
                "parameters": sampler.parameters,
                "model": sampler.model and asdict(sampler.model),
            }
            for sampler in info.samplers
        ],
        "metadata": info.metadata,
    }
