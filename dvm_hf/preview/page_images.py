"""Frames as the page embeds them: reduced, encoded, as data URIs."""

import base64
import io

from PIL import Image, features

from dvm_hf.dataset.columns import GREY_COLUMNS
from dvm_hf.preview.samples import Sample

LONGEST_SIDES = (640, 480, 360, 240, 160)  # px: a clip is shown with the first of these that keeps to its bytes
THUMBNAIL = 320  # px, longest side
COLOUR_QUALITY, GREY_EFFORT = 84, 20  # of WebP; of a lossless one "quality" is effort


def encoded_layers(sample: Sample, *, most_bytes: int) -> dict[str, list[bytes]]:
    """By layer the encoded frames, as large as `most_bytes` of base64 allow; the smallest side is taken in any case."""
    tried = None
    for side in LONGEST_SIDES:
        size = reduced(next(iter(sample.layers.values()))[0], side, layer="frames").size
        is_last = side == LONGEST_SIDES[-1]
        if size == tried and not is_last:
            continue  # the frames are no larger than this
        tried = size
        if not is_last and _one_frame_bytes(sample, side) * sample.frame_count > most_bytes:
            continue
        layers = {
            layer: [encoded(reduced(frames[index], side, layer=layer), layer=layer) for index in range(len(frames))]
            for layer, frames in sample.layers.items()
        }
        if is_last or sum(_base64_bytes(data) for frames in layers.values() for data in frames) <= most_bytes:
            break
    return layers


def _one_frame_bytes(sample: Sample, side: int) -> int:
    """What the middle frame takes in all its layers."""
    middle = sample.frame_count // 2
    layers = sample.layers.items()
    return sum(_base64_bytes(encoded(reduced(frames[middle], side, layer=name), layer=name)) for name, frames in layers)


def _base64_bytes(data: bytes) -> int:
    return (len(data) + 2) // 3 * 4


def reduced(frame: Image.Image, side: int, *, layer: str) -> Image.Image:
    """No larger than `side`, each pixel the mean of those it covers; of a trimap, which has no means, one of them."""
    scale = side / max(frame.size)
    if scale >= 1:
        return frame
    size = (max(1, round(frame.width * scale)), max(1, round(frame.height * scale)))
    return frame.resize(size, Image.Resampling.NEAREST if layer == "trimap" else Image.Resampling.BOX)


def encoded(frame: Image.Image, *, layer: str) -> bytes:
    """WebP, lossless for alpha and trimap; a Pillow built without WebP writes PNG and JPEG."""
    file, is_grey = io.BytesIO(), layer in GREY_COLUMNS
    if features.check("webp"):
        frame.save(file, "WEBP", lossless=is_grey, quality=GREY_EFFORT if is_grey else COLOUR_QUALITY, method=2)
    elif is_grey:
        frame.save(file, "PNG", optimize=True)
    else:
        frame.save(file, "JPEG", quality=COLOUR_QUALITY)
    return file.getvalue()


def decoded_size(data: bytes) -> tuple[int, int]:
    """Width and height of an encoded image, px."""
    with Image.open(io.BytesIO(data)) as image:
        return image.size


def data_uri(data: bytes) -> str:
    kind = {b"RIFF": "webp", b"\x89PNG": "png"}.get(data[:4], "jpeg")
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
