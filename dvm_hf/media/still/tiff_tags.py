"""Tags of a TIFF that determine whether its values can be read."""

from pathlib import Path
from typing import Any

from PIL import Image

from dvm_hf.errors import SourceError

BITS, PHOTOMETRIC, STRIP_OFFSETS, ORIENTATION, SAMPLES, STRIP_BYTES, PLANAR = 258, 262, 273, 274, 277, 279, 284
TILE_OFFSETS, TILE_BYTES, EXTRA_SAMPLES, SAMPLE_FORMAT = 324, 325, 338, 339
READ_BITS = (1, 2, 4, 8, 16)  # Pillow does not scale values of other depths
SEPARATE_PLANES = 2  # planar configuration
WHITE_IS_ZERO = 0  # photometric interpretation
PREMULTIPLIED = 1  # of the extra channel: "associated alpha"
UNSIGNED = 1  # sample format


def tag_values(image: Image.Image, tag: int, default: int) -> tuple[int, ...]:
    """Return the values of a tag of the first picture of a TIFF."""
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    values = tags.get(tag, default)
    return tuple(int(one) for one in (values if isinstance(values, tuple) else (values,)))


def tiff_bits(image: Image.Image) -> int:
    """Return the bits per channel of a TIFF."""
    return max(tag_values(image, BITS, 1))


def is_premultiplied(image: Image.Image) -> bool:
    """Return whether the colours of a TIFF are multiplied by its alpha channel."""
    return image.format == "TIFF" and PREMULTIPLIED in tag_values(image, EXTRA_SAMPLES, 0)


def require_readable_tiff(image: Image.Image, path: Path) -> None:
    """Raise SourceError if the releases of Pillow and OpenCV do not read the same values from a TIFF."""
    bits, orientation = tiff_bits(image), tag_values(image, ORIENTATION, 1)[0]
    is_inverted = bits == 16 and tag_values(image, PHOTOMETRIC, 1)[0] == WHITE_IS_ZERO
    if bits not in READ_BITS or is_inverted or set(tag_values(image, SAMPLE_FORMAT, UNSIGNED)) != {UNSIGNED}:
        raise SourceError(
            f"{path}: is a TIFF whose values are not integers of 1, 2, 4, 8 or 16 bits with black as 0; convert the "
            "file to 8 or 16 bits"
        )
    if bits == 16 and tag_values(image, SAMPLES, 1)[0] > 1 and tag_values(image, PLANAR, 1)[0] == SEPARATE_PLANES:
        raise SourceError(
            f"{path}: is a TIFF with 16 bits whose channels are stored as separate planes, which is not supported; "
            "save it with interleaved channels"
        )
    if bits == 16 and is_premultiplied(image):
        raise SourceError(
            f"{path}: is a TIFF with 16 bits that declares its colours as multiplied by alpha, which is not supported; "
            "save it with unpremultiplied colours"
        )
    if orientation != 1:
        raise SourceError(
            f"{path}: is a TIFF with the orientation tag {orientation}, which is not supported; save it upright, "
            "without a tag"
        )


def is_complete_tiff(path: Path) -> bool:
    """Return whether a TIFF contains all bytes of its first picture."""
    with Image.open(path, formats=("TIFF",)) as image:
        starts = tag_values(image, STRIP_OFFSETS, 0) + tag_values(image, TILE_OFFSETS, 0)
        lengths = tag_values(image, STRIP_BYTES, 0) + tag_values(image, TILE_BYTES, 0)
    size = path.stat().st_size
    return all(start + length <= size for start, length in zip(starts, lengths, strict=False))
