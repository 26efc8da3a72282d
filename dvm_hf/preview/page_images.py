"""Reduce and encode the frames of a preview page."""

from PIL import Image

from dvm_hf.dataset.columns import GREY_COLUMNS
from dvm_hf.media.still.image_encoding import encoded_for_page
from dvm_hf.pages.page_pictures import base64_bytes
from dvm_hf.pages.page_pictures import reduced as reduced_picture
from dvm_hf.preview.samples import Sample

LONGEST_SIDES = (640, 480, 360, 240, 160)  # px: a clip uses the first of these that fits its maximum size
THUMBNAIL = 320  # px, longest side


def encoded_layers(sample: Sample, *, max_bytes: int) -> dict[str, list[bytes]]:
    """Return the encoded frames of each layer, as large as `max_bytes` of base64 allow, down to the smallest side."""
    tried = None
    for side in LONGEST_SIDES:
        size = reduced(next(iter(sample.layers.values()))[0], side, layer="frames").size
        is_last = side == LONGEST_SIDES[-1]
        if size == tried and not is_last:
            continue  # the frames already have this size
        tried = size
        if not is_last and _one_frame_bytes(sample, side) * sample.frame_count > max_bytes:
            continue
        layers = {
            layer: [encoded(reduced(frames[index], side, layer=layer), layer=layer) for index in range(len(frames))]
            for layer, frames in sample.layers.items()
        }
        if is_last or sum(base64_bytes(data) for frames in layers.values() for data in frames) <= max_bytes:
            break
    return layers


def _one_frame_bytes(sample: Sample, side: int) -> int:
    """Return the base64 size of the middle frame in all layers."""
    middle = sample.frame_count // 2
    layers = sample.layers.items()
    return sum(base64_bytes(encoded(reduced(frames[middle], side, layer=name), layer=name)) for name, frames in layers)


def reduced(frame: Image.Image, side: int, *, layer: str) -> Image.Image:
    """Reduce a frame to at most `side` px by averaging pixels, or a trimap by nearest neighbour."""
    return reduced_picture(frame, side, nearest=layer == "trimap")


def encoded(frame: Image.Image, *, layer: str) -> bytes:
    """Encode a frame, exactly for alpha and trimap."""
    return encoded_for_page(frame, is_exact=layer in GREY_COLUMNS)
