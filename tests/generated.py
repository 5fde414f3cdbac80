"""Files as generators write them, with how they were made inside."""

import gzip
import io
import json
import struct
import zlib

import av
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.samples import video

WIDTH, HEIGHT = 64, 48
A1111 = """a red fox in the snow, (detailed:1.2)
Negative prompt: blurry, low quality
Steps: 28, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: {seed}, Size: 64x48, \
Model hash: 31e35c80fc, Model: sd_xl_base_1.0, Clip skip: 2, Version: v1.10.1"""
GRAPH = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 1234567, "steps": 28, "cfg": 6.5, "sampler_name": "dpmpp_2m", "scheduler": "karras",
            "denoise": 1, "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0],
            "latent_image": ["5", 0],
        },
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd_xl_base_1.0.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 48, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a red fox in the snow", "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["4", 1]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "fox", "images": ["8", 0]}},
}  # fmt: skip
WORKFLOW = {"nodes": [], "links": [[1, 4, 0, 3, 0, "MODEL"]], "version": 0.4}
FLUX = {
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a red fox in the snow", "clip": ["11", 0]}},
    "12": {"class_type": "UNETLoader", "inputs": {"unet_name": "flux1-dev.safetensors"}},
    "13": {"class_type": "SamplerCustomAdvanced", "inputs": {"noise": ["25", 0], "sampler": ["16", 0]}},
    "16": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
    "17": {"class_type": "BasicScheduler", "inputs": {"scheduler": "simple", "steps": 20, "denoise": 1}},
    "25": {"class_type": "RandomNoise", "inputs": {"noise_seed": 42}},
    "26": {"class_type": "FluxGuidance", "inputs": {"guidance": 3.5, "conditioning": ["6", 0]}},
}
INVOKEAI = {
    "positive_prompt": "a red fox in the snow", "negative_prompt": "blurry", "seed": 1234567, "steps": 28,
    "cfg_scale": 6.5, "scheduler": "euler", "width": 64, "height": 48, "generation_mode": "txt2img",
    "model": {"model_name": "stable-diffusion-xl", "base_model": "sdxl"}, "app_version": "4.2.0",
}  # fmt: skip
FOOOCUS = {
    "prompt": "a red fox in the snow", "negative_prompt": "blurry", "seed": "1234567", "steps": 28,
    "guidance_scale": 6.5, "sampler": "dpmpp_2m_sde_gpu", "scheduler": "karras", "sharpness": 2,
    "base_model": "juggernautXL", "base_model_hash": "d91d35736d", "resolution": "(64, 48)",
    "full_prompt": ["a red fox in the snow", "cinematic"], "version": "Fooocus v2.5",
}  # fmt: skip
NOVELAI = {
    "Description": "a red fox in the snow",
    "Software": "NovelAI",
    "Source": "Stable Diffusion XL 7BCCAA2C",
    "Comment": json.dumps(
        {"steps": 28, "scale": 6.5, "seed": 1234567, "sampler": "k_euler", "uc": "blurry", "height": 48}
    ),
}


def a1111(seed=1234567):
    return A1111.format(seed=seed)


def comfyui(graph=None):
    return {"prompt": json.dumps(graph or GRAPH), "workflow": json.dumps(WORKFLOW)}


def png(texts=None, *, image=None, kind="tEXt", colour=(200, 30, 40)):
    info = PngInfo()
    for key, text in (texts or {}).items():
        if kind == "iTXt":
            info.add_itxt(key, text, zip=True)
        else:
            info.add_text(key, text, zip=kind == "zTXt")
    return saved(image or Image.new("RGB", (WIDTH, HEIGHT), colour), "PNG", pnginfo=info)


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def with_exif(kind, tags=None, comment=b""):
    """A JPEG, WebP or AVIF with a UserComment, or other EXIF tags."""
    exif = Image.Exif()
    for tag, text in (tags or {}).items():
        exif[tag] = text
    if comment:
        exif.get_ifd(0x8769)[0x9286] = comment
    return saved(Image.new("RGB", (WIDTH, HEIGHT), (20, 60, 190)), kind, exif=exif.tobytes())


def unicode_comment(text, encoding="utf-16-be"):
    return b"UNICODE\0" + text.encode(encoding)


def stealth(said, *, length=None):
    """A PNG with the JSON in the lowest bits of its alpha, column by column."""
    packed = gzip.compress(json.dumps(said).encode() if isinstance(said, dict) else said)
    stated = len(packed) * 8 if length is None else length
    data = b"stealth_pngcomp" + struct.pack(">I", stated) + packed
    bits = [byte >> (7 - bit) & 1 for byte in data for bit in range(8)]
    height = 64
    columns = -(-len(bits) // height)
    image = Image.new("RGBA", (columns, height), (9, 99, 9, 254))
    for number, bit in enumerate(bits):
        image.putpixel((number // height, number % height), (9, 99, 9, 254 + bit))
    return saved(image, "PNG")


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def with_chunk(content, name, data, *, stated=None, crc=None):
    """A PNG with one more chunk before its pixels, perhaps a lying one."""
    made = chunk(name, data)
    if stated is not None:
        made = struct.pack(">I", stated) + made[4:]
    if crc is not None:
        made = made[:-4] + struct.pack(">I", crc)
    at = content.index(b"IDAT") - 4
    return content[:at] + made + content[at:]


def tagged_video(tags, container="mp4"):
    """A video with such tags, remuxed."""
    source, file = (
        io.BytesIO(video(container, "libx264" if container == "mp4" else "libvpx-vp9")),
        io.BytesIO(),
    )
    options = {"movflags": "use_metadata_tags"} if container == "mp4" else {}
    with av.open(source) as given, av.open(file, "w", format=container, options=options) as made:
        made.metadata.update(tags)
        stream = made.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(given.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)
    return file.getvalue()
