"""Colour and alpha tags of a video, and whether the declared colours can be read."""

import functools
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import av

from dvm_hf.errors import SourceError

Role: TypeAlias = Literal["colour", "alpha", "both"]  # "both": colour, and the alpha in its alpha channel
HDR = {16: "PQ (SMPTE ST 2084)", 18: "HLG (ARIB STD-B67)"}  # by FFmpeg's number of the transfer
MATRICES = (1, 2, 4, 5, 6, 7, 9)  # supported by FFmpeg's converter: BT.709, none, FCC, BT.601, SMPTE 240M, BT.2020
UNSPECIFIED = 2  # FFmpeg's number of an unspecified matrix, transfer or primaries
WIDE = {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}  # primaries wider than sRGB's
HIDDEN_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # FFmpeg decoder that drops alpha: decoder that reads it
PARAMETER_SETS = 23  # offset of the parameter sets in an hvcC, in bytes
VPS = 32  # HEVC's NAL unit type


class VideoTags(NamedTuple):
    """Tags of a video stream.

    codec: name of FFmpeg's decoder.
    layout: FFmpeg's pixel format.
    transfer, primaries, matrix, colour_range: FFmpeg's numbers.
    has_hidden_alpha: whether the stream has an alpha channel that is not decoded.
    """

    codec: str
    layout: str
    transfer: int
    primaries: int
    matrix: int
    colour_range: int
    has_hidden_alpha: bool

    @property
    def has_alpha(self) -> bool:
        """Whether decoded frames have an alpha channel."""
        return bool(self.layout) and any(part.is_alpha for part in av.VideoFormat(self.layout).components)

    @property
    def has_chroma(self) -> bool:
        """Whether decoded frames are luma and chroma, which need a matrix; not grey, RGB or XYZ."""
        return _has_chroma(self.layout)


@functools.cache  # a check asks for every file
def _has_chroma(layout: str) -> bool:
    if not layout or layout.startswith("xyz"):
        return False
    pixels = av.VideoFormat(layout)
    return not pixels.is_rgb and sum(not part.is_alpha for part in pixels.components) == 3


def video_tags(stream: Any, frame: Any = None) -> VideoTags:
    """Return the tags of a stream from its header, or from a decoded frame: some are known only after decoding.

    Before a frame is decoded, a stream has the tags of the container and, if it was probed, those of the codec that the
    container lacks. Some decoders then replace them by unspecified ones.
    """
    codec, source = stream.codec_context, stream.codec_context if frame is None else frame
    layout = (codec.pix_fmt if frame is None else frame.format.name) or ""
    numbers = (
        int(source.color_trc or 0),
        int(source.color_primaries or 0),
        int(source.colorspace or 0),
        int(source.color_range or 0),
    )
    is_dropped = codec.name in HIDDEN_ALPHA and stream.metadata.get("alpha_mode", "0") not in ("", "0")
    return VideoTags(
        codec.name, layout, *numbers, is_dropped or (codec.name == "hevc" and hevc_layers(codec.extradata) > 1)
    )


def specified_tags(tags: VideoTags, declared: VideoTags) -> VideoTags:
    """Return the tags of a decoded frame after `specify_colours`."""
    is_open = tags.matrix == UNSPECIFIED and declared.matrix in MATRICES
    return tags._replace(
        matrix=declared.matrix if is_open else tags.matrix, colour_range=tags.colour_range or declared.colour_range
    )


def specify_colours(frame: Any, declared: VideoTags) -> None:
    """Set the matrix and range of a decoded frame to the declared ones if its codec leaves them unspecified.

    declared: tags of the stream before it was decoded.
    """
    if frame.colorspace == UNSPECIFIED and declared.matrix in MATRICES:
        frame.colorspace = declared.matrix
    if not frame.color_range:
        frame.color_range = declared.colour_range


def require_readable(path: Path, tags: VideoTags, role: Role) -> None:
    """Raise SourceError if the displayed colours, or for an alpha its matte, cannot be read from the file."""
    if role != "alpha" and tags.transfer in HDR:
        raise SourceError(
            f"{path}: is HDR video with the transfer {HDR[tags.transfer]}; only SDR video can be composited; convert "
            "it to BT.709 as docs/files.md shows"
        )
    if role != "alpha" and tags.has_chroma and tags.matrix not in MATRICES:
        raise SourceError(
            f"{path}: its colours ({tags.layout}, matrix {tags.matrix}) cannot be converted to RGB (not supported by "
            "FFmpeg's converter); convert the video, for example to BT.709"
        )
    if role == "alpha" and tags.has_hidden_alpha and not tags.has_alpha:
        decoder = f"-c:v {HIDDEN_ALPHA[tags.codec]} " if tags.codec in HIDDEN_ALPHA else ""
        raise SourceError(
            f"{path}: contains a second picture, such as an alpha channel, that is not decoded ({tags.codec}), so its "
            f"luma is not the alpha; extract it with ffmpeg {decoder}-i {path.name} -vf alphaextract -c:v ffv1 a.mkv"
        )


def hevc_layers(extradata: bytes | None) -> int:
    """Return the number of layers that an HEVC stream declares in its hvcC or, with start codes, in its extradata."""
    data = extradata or b""
    units = _hvcc_units(data) if data[:1] == b"\1" else [unit for unit in data.split(b"\0\0\1")[1:] if unit]
    layers = [1]
    for unit in units:
        if len(unit) >= 4:
            layers.append(((unit[0] & 1) << 5 | unit[1] >> 3) + 1)
            if unit[0] >> 1 & 63 == VPS:
                layers.append(((unit[2] & 3) << 4 | unit[3] >> 4) + 1)  # vps_max_layers_minus1
    return max(layers)


def _hvcc_units(data: bytes) -> list[bytes]:
    """Split an hvcC into NAL units: arrays of length-prefixed units, ISO/IEC 14496-15, 8.3.3.1."""
    units, at = [], PARAMETER_SETS
    for _ in range(data[PARAMETER_SETS - 1] if len(data) >= PARAMETER_SETS else 0):
        count, at = int.from_bytes(data[at + 1 : at + 3], "big"), at + 3
        for _ in range(count):
            length, at = int.from_bytes(data[at : at + 2], "big"), at + 2
            units.append(data[at : at + length])
            at += length
            if at > len(data):
                return units[:-1]
    return units
