"""Open a video file and a decoder for its frames."""

from pathlib import Path
from typing import Any, NamedTuple

from dvm_hf.errors import SourceError
from dvm_hf.media.formats.decoder_memory import allowed_threads
from dvm_hf.media.video.alpha_decoders import decoder
from dvm_hf.media.video.containers import (
    MAX_FRAME_PIXELS,
    decoder_options,
    main_stream,
    opened_container,
    video_stream,
)
from dvm_hf.media.video.opening_facts import OpeningFacts
from dvm_hf.media.video.video_tags import VideoTags, video_tags

TIMED_FORMATS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")  # every packet has a timestamp
UNPROBED_PIXELS = 2**21  # per frame; 1920 x 1080 has fewer


class OpenedDecoder(NamedTuple):
    """An open file and its decoder.

    tags: of the stream, before a frame is decoded.
    max_pixels: largest frame that may be decoded.
    """

    container: Any
    stream: Any
    decoder: Any
    tags: VideoTags
    max_pixels: int


def opened_decoder(path: Path, *, threads: int, reads_alpha: bool, facts: OpeningFacts | None = None) -> OpenedDecoder:
    """Open a video to be read by its timestamps; the caller closes the container. Raises SourceError.

    threads: of the decoder; 0 for as many as FFmpeg chooses and its memory allows.
    reads_alpha: whether the decoder must output an alpha channel that FFmpeg's own decoder drops.
    facts: of an earlier opening. They replace what FFmpeg finds by probing, and the checks.
    """
    container, is_probed = _container(path, is_known=facts is not None)
    try:
        if facts is None:
            stream = video_stream(path, container)
            tags, limit = video_tags(stream), allowed_threads(stream.codec_context)
            # a stream larger than its header declares fails here, and is read sequentially
            max_pixels = MAX_FRAME_PIXELS if is_probed else UNPROBED_PIXELS
        else:
            stream, tags, limit, max_pixels = main_stream(container), facts.tags, facts.threads, facts.max_pixels
            if stream is None or stream.codec_context is None:
                raise SourceError(f"{path}: contains no video stream; replace the file")
        found = decoder(path, stream, reads_alpha=reads_alpha)
    except SourceError:
        container.close()
        raise
    if found is stream.codec_context:
        found.options = decoder_options(stream, max_pixels=max_pixels)
    if facts is not None:
        found.reorder_depth = facts.reorder_depth
    found.thread_type, found.thread_count = "AUTO", threads or limit
    return OpenedDecoder(container, stream, found, tags, max_pixels)


def _container(path: Path, *, is_known: bool) -> tuple[Any, bool]:
    """Open a container; return it, and whether it was probed.

    Probing decodes a frame to find what an MP4 header already declares; only other containers or large frames need it.
    """
    container = opened_container(path, is_probed=False)
    if is_known or (container.format.name == TIMED_FORMATS[0] and _is_small(container)):
        return container, False
    container.close()
    return opened_container(path), True


def _is_small(container: Any) -> bool:
    """Return whether frames are so small that memory is bounded for any pixel format, which only probing finds."""
    stream = main_stream(container)
    codec = None if stream is None else stream.codec_context
    return codec is None or _padded(codec.height) * _padded(codec.width) <= UNPROBED_PIXELS


def _padded(side: int) -> int:
    return -(-side // 64) * 64  # the largest block size of any codec
