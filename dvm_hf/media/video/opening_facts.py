"""What opening a video finds out by reading packets and decoding its first frame, as objects and as text."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from dvm_hf.media.formats.keyframes import PacketTable
from dvm_hf.media.frame_geometry import Declared
from dvm_hf.media.kept_facts import FactKind
from dvm_hf.media.pixels import Box, Size
from dvm_hf.media.video.video_tags import VideoTags

AlphaChannel: TypeAlias = Literal["none", "opaque", "used"]


class FirstFrame(NamedTuple):
    """Properties of frame 0 of a video.

    stored: size as stored.
    rotation: as PyAV reports it. orientation: EXIF orientation, 1 .. 8.
    tags: as decoded.
    channel: whether the frame has an alpha channel, and whether that is not opaque.
    """

    stored: Size
    rotation: int
    orientation: int
    tags: VideoTags
    channel: AlphaChannel


@dataclass(frozen=True)
class OpeningFacts:
    """Facts about a video that is read by its timestamps, see `seekable_frames`.

    packets: its packets, up to a maximum number. is_cut: whether it may continue after them.
    is_read: whether the packets were read; otherwise, they are those that the container lists.
    listed: number of displayed frames that the container lists; 0 if it has no index.
    reorder_depth: of the decoder after frame 0. threads: maximum number of its threads; 0 for any. max_pixels: largest
        frame that it may decode.
    tags, declared: of the container, before a frame is decoded.
    first: frame 0.
    """

    packets: PacketTable
    is_cut: bool
    is_read: bool
    listed: int
    reorder_depth: int
    threads: int
    max_pixels: int
    tags: VideoTags
    declared: Declared
    first: FirstFrame

    @property
    def nbytes(self) -> int:
        return self.packets.nbytes + 2000  # about the size of the other objects

    def as_json(self) -> dict[str, Any]:
        """Return the facts as values that JSON can represent."""
        table, aperture = self.packets, self.declared.aperture
        return {
            "pts": [int(table.pts[0]), *np.diff(table.pts).tolist()],
            "sizes": table.sizes.tolist(),
            "kinds": table.kinds.hex(),
            "last_dts": table.last_dts,
            "is_cut": self.is_cut,
            "is_read": self.is_read,
            "listed": self.listed,
            "reorder_depth": self.reorder_depth,
            "threads": self.threads,
            "max_pixels": self.max_pixels,
            "tags": list(self.tags),
            "aspect": [self.declared.aspect.numerator, self.declared.aspect.denominator],
            "aperture": None if aperture is None else list(aperture),
            "first": [*self.first.stored, self.first.rotation, self.first.orientation, self.first.channel],
            "first_tags": list(self.first.tags),
        }


def opening_facts(stored: dict[str, Any]) -> OpeningFacts:
    """Return the facts that `as_json` returned. Raises KeyError, TypeError or ValueError for any other value."""
    pts, sizes = np.cumsum(np.array(stored["pts"], np.int64)), np.array(stored["sizes"], np.int64)
    kinds = bytearray.fromhex(stored["kinds"])
    if not 0 < len(pts) == len(sizes) == len(kinds):
        raise ValueError("packets are missing")
    height, width, rotation, orientation, channel = stored["first"]
    aperture = stored["aperture"]
    return OpeningFacts(
        packets=PacketTable(pts, sizes, last_dts=stored["last_dts"], kinds=kinds),
        is_cut=stored["is_cut"],
        is_read=stored["is_read"],
        listed=stored["listed"],
        reorder_depth=stored["reorder_depth"],
        threads=stored["threads"],
        max_pixels=stored["max_pixels"],
        tags=VideoTags(*stored["tags"]),
        declared=Declared(Fraction(*stored["aspect"]), None if aperture is None else Box(*aperture)),
        first=FirstFrame(Size(height, width), rotation, orientation, VideoTags(*stored["first_tags"]), channel),
    )


OPENINGS = FactKind(
    "opening", as_json=OpeningFacts.as_json, from_json=opening_facts, nbytes=lambda facts: facts.nbytes
)  # parameters: maximum number of frames, and whether the alpha channel is read
