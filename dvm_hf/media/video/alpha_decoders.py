"""Decoders for the colour and the alpha channel of a video, for codecs whose alpha FFmpeg's own decoder drops."""

from pathlib import Path
from typing import Any

from av.codec.codec import UnknownCodecError
from av.codec.context import CodecContext

from dvm_hf.errors import SourceError
from dvm_hf.media.formats.vp_frames import is_vp9_key
from dvm_hf.media.video.containers import MAX_FRAME_PIXELS
from dvm_hf.media.video.video_tags import HIDDEN_ALPHA, VideoTags, video_tags

ALPHA_PACKET = "matroska_block_additional"  # PyAV's name of the side data with the alpha of VP8 and VP9
decoder_context = CodecContext.create
ALPHA_ID = (1).to_bytes(8, "big")  # of that data: begins the alpha channel's own packet


def decoder(path: Path, stream: Any, *, reads_alpha: bool) -> Any:
    """Return the decoder context of a stream: its own, or for VP8 and VP9 with alpha the one that reads the alpha.

    Raises SourceError if PyAV was built without that decoder.
    """
    tags = video_tags(stream)
    if not (reads_alpha and tags.has_hidden_alpha and tags.codec in HIDDEN_ALPHA):
        return stream.codec_context
    name = HIDDEN_ALPHA[tags.codec]
    try:
        found: Any = decoder_context(name, "r")
    except UnknownCodecError as error:
        raise SourceError(
            f"{path}: its alpha channel needs FFmpeg's decoder {name}, which this PyAV was built without; install "
            "PyAV's wheel (pip install av), or convert the video to FFV1 or ProRes 4444 with an FFmpeg that has it"
        ) from error
    found.options = {"max_pixels": str(MAX_FRAME_PIXELS)}
    return found


def begins_alpha(packet: Any) -> bool:
    """Return whether decoding the alpha of a VP9 packet can begin there: it is a keyframe, too."""
    if not packet.has_sidedata(ALPHA_PACKET):
        return False
    data = bytes(packet.get_sidedata(ALPHA_PACKET))
    return data[:8] == ALPHA_ID and is_vp9_key(data[8:])


def no_alpha_error(path: Path, tags: VideoTags) -> SourceError:
    """Return the error for a video whose decoded frames have no alpha channel. tags: of its header."""
    if not (tags.has_alpha or tags.has_hidden_alpha):
        return SourceError(
            f"{path}: has no alpha channel, and the foreground has no other file for its alpha; add that file, or "
            "export the video with an alpha channel"
        )
    return SourceError(
        f"{path}: declares an alpha channel, but is decoded without it ({tags.codec}); extract it with an FFmpeg that "
        f"reads it (ffmpeg -i {path.name} -vf alphaextract -c:v ffv1 a.mkv), and use both files"
    )
