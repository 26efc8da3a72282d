"""How much memory a decoder takes: a frame, as large as its format makes it, times the frames that it keeps."""

import re
from typing import Any

import av

MOST_BYTES = 820_000_000  # of a decoder's frames; 11 of 5312 x 4648 (action cameras) in 10 bits, 4:2:0, fit
THREADS = 4  # the most of a large video's decoder, as each has a frame at work
WORKING = 3  # frames: the one at work, the one that was decoded last, the one that is converted
KEPT = {"hevc": 8, "vp9": 8, "libdav1d": 8, "libaom-av1": 8, "av1": 8}  # for others to refer to, where frames are large
KEPT_BY_OTHERS = 2
MOST_REFERENCES = 16  # of H.264, in any size
WITH_CHROMA = (44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244)  # H.264's profiles that tell its format
SEQUENCE = re.compile(b"\0\0\1[\x07\x27\x47\x67]")  # where H.264's sequence parameters begin


def decoder_bytes(codec: Any) -> int:
    """Of the frames that a decoder of one thread holds, by its codec context."""
    kept = references(codec.extradata or b"") if codec.name == "h264" else KEPT.get(codec.name, KEPT_BY_OTHERS)
    return frame_bytes(codec) * (int(kept) + WORKING)


def frame_bytes(codec: Any) -> int:
    """Of one frame as it is decoded."""
    if not codec.pix_fmt:
        return 3 * int(codec.height * codec.width)
    components = av.VideoFormat(codec.pix_fmt, codec.width, codec.height).components
    return int(sum(part.height * part.width * (1 if part.bits <= 8 else 2) for part in components))


def allowed_threads(codec: Any) -> int:
    """How many threads a decoder may have; 0, as many as FFmpeg likes, where frames are too small to matter."""
    size = max(1, frame_bytes(codec))
    if decoder_bytes(codec) + 16 * size <= MOST_BYTES:  # FFmpeg takes no more
        return 0
    return max(1, min(THREADS, 1 + (MOST_BYTES - decoder_bytes(codec)) // size))


def references(extradata: bytes) -> int:
    """Reference frames of an H.264 stream, by its sequence parameters; as many as can be where these cannot be read."""
    begin = SEQUENCE.search(extradata)
    data = extradata[9:] if extradata[:1] == b"\1" else extradata[begin.end() :] if begin else b""
    try:
        return min(MOST_REFERENCES, _references(_Bits(data.replace(b"\0\0\3", b"\0\0"))))
    except IndexError:
        return MOST_REFERENCES


class _Bits:
    """Bits of a byte string, read from the first one on; IndexError behind the last."""

    def __init__(self, data: bytes) -> None:
        self._data, self._position = data, 0

    def number(self, count: int) -> int:
        value = 0
        for position in range(self._position, self._position + count):
            value = 2 * value + (self._data[position // 8] >> (7 - position % 8) & 1)
        self._position += count
        return value

    def golomb(self) -> int:
        """An Exp-Golomb number without its sign."""
        zeros = 0
        while not self.number(1):
            zeros += 1
        return (1 << zeros) - 1 + self.number(zeros)

    def signed(self) -> int:
        value = self.golomb()
        return -(value // 2) if value % 2 == 0 else (value + 1) // 2


def _references(bits: _Bits) -> int:
    """ITU-T H.264, 7.3.2.1.1, up to max_num_ref_frames."""
    profile = bits.number(24) >> 16
    bits.golomb()
    if profile in WITH_CHROMA:
        chroma = bits.golomb()
        bits.number(chroma == 3)
        bits.golomb(), bits.golomb(), bits.number(1)
        if bits.number(1):
            for size in [16] * 6 + [64] * (2 if chroma != 3 else 6):
                _pass_scaling(bits, size)
    bits.golomb()
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.number(1), bits.golomb(), bits.golomb()
        for _ in range(bits.golomb()):
            bits.golomb()
    return bits.golomb()


def _pass_scaling(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size if bits.number(1) else 0):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last
