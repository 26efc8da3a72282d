"""Reduce and encode pictures of a page, as data URIs."""

import base64
import io

from PIL import Image

from dvm_hf.media.still.image_encoding import encoded_for_page


def reduced(picture: Image.Image, side: int, *, nearest: bool = False) -> Image.Image:
    """Reduce a picture to at most `side` px by averaging pixels, or by nearest neighbour."""
    scale = side / max(picture.size)
    if scale >= 1:
        return picture
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.NEAREST if nearest else Image.Resampling.BOX)


def base64_bytes(data: bytes) -> int:
    """Return the number of characters that data take as base64."""
    return (len(data) + 2) // 3 * 4


def decoded_size(data: bytes) -> tuple[int, int]:
    """Return (width, height) of an encoded image, in px."""
    with Image.open(io.BytesIO(data)) as image:
        return image.size


def data_uri(data: bytes) -> str:
    kind = {b"RIFF": "webp", b"\x89PNG": "png"}.get(data[:4], "jpeg")
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def picture_uri(picture: Image.Image, *, is_exact: bool) -> str:
    """Return a picture as a data URI, lossless if it must be exact."""
    return data_uri(encoded_for_page(picture, is_exact=is_exact))
