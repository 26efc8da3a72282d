"""Estimate the memory of a decoder: bytes per frame times the number of frames that it holds."""

import re
from typing import Any

import av

MAX_BYTES = 820_000_000  # for all frames of a decoder; 11 frames of 5312 x 4648 (action cameras), 10-bit 4:2:0, fit
MAX_THREADS = 4  # maximum for large videos, because each thread holds a frame
WORKING_FRAMES = 3  # frames: being decoded, last decoded, being converted
REFERENCE_FRAMES = {"hevc": 8, "vp9": 8, "libdav1d": 8, "libaom-av1": 8, "av1": 8}  # by decoder, for large frames
DEFAULT_REFERENCE_FRAMES = 2
MAX_REFERENCES = 16  # of H.264, at any frame size
WITH_CHROMA = (44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244)  # H.264 profiles with chroma_format_idc
SEQUENCE = re.compile(b"\0\0\1[\x07\x27\x47\x67]")  # start of a sequence parameter set (SPS) of H.264


def decoder_bytes(codec: Any) -> int:
    """Return the bytes of all frames that a single-threaded decoder holds. codec: PyAV's codec context."""
    kept = REFERENCE_FRAMES.get(codec.name, DEFAULT_REFERENCE_FRAMES)
    if codec.name == "h264":
        kept = references(codec.extradata or b"")
    return frame_bytes(codec) * (kept + WORKING_FRAMES)


def frame_bytes(codec: Any) -> int:
    """Return the bytes of one decoded frame."""
    if not codec.pix_fmt:
        return 3 * int(codec.height * codec.width)
    components = av.VideoFormat(codec.pix_fmt, codec.width, codec.height).components
    return int(sum(part.height * part.width * (1 if part.bits <= 8 else 2) for part in components))


def allowed_threads(codec: Any) -> int:
    """Return the number of threads that a decoder may use; 0 (chosen by FFmpeg) if its frames are small."""
    size = max(1, frame_bytes(codec))
    if decoder_bytes(codec) + 16 * size <= MAX_BYTES:  # FFmpeg uses at most 16 threads
        return 0
    return max(1, min(MAX_THREADS, 1 + (MAX_BYTES - decoder_bytes(codec)) // size))


def references(extradata: bytes) -> int:
    """Return the number of reference frames in an H.264 SPS; the maximum if it cannot be parsed."""
    begin = SEQUENCE.search(extradata)
    data = extradata[9:] if extradata[:1] == b"\1" else extradata[begin.end() :] if begin else b""
    try:
        return min(MAX_REFERENCES, _references(_Bits(data.replace(b"\0\0\3", b"\0\0"))))
    except IndexError:
        return MAX_REFERENCES


class _Bits:
    """Bit reader for a byte string. Raises IndexError after the last bit."""

    def __init__(self, data: bytes) -> None:
        self._data, self._position = data, 0

    def number(self, count: int) -> int:
        value = 0
        for position in range(self._position, self._position + count):
            value = 2 * value + (self._data[position // 8] >> (7 - position % 8) & 1)
        self._position += count
        return value

    def golomb(self) -> int:
        """Read an unsigned Exp-Golomb number."""
        zeros = 0
        while not self.number(1):
            zeros += 1
        return (1 << zeros) - 1 + self.number(zeros)

    def signed(self) -> int:
        value = self.golomb()
        return -(value // 2) if value % 2 == 0 else (value + 1) // 2


def _references(bits: _Bits) -> int:
    """Parse an SPS up to max_num_ref_frames: ITU-T H.264, 7.3.2.1.1."""
    profile = bits.number(24) >> 16
    bits.golomb()
    if profile in WITH_CHROMA:
        chroma = bits.golomb()
        bits.number(chroma == 3)
        bits.golomb(), bits.golomb(), bits.number(1)
        if bits.number(1):
            for size in [16] * 6 + [64] * (2 if chroma != 3 else 6):
                _skip_scaling_list(bits, size)
    bits.golomb()
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.number(1), bits.golomb(), bits.golomb()
        for _ in range(bits.golomb()):
            bits.golomb()
    return bits.golomb()


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size if bits.number(1) else 0):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last
