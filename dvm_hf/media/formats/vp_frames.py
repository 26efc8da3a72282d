"""Detect packets of VP8 and VP9 that contain no displayed frame, only a reference for others."""

SUPERFRAME = 0xC0  # VP9 bitstream specification, annex B: the marker at the end of a packet with several frames


def is_shown(codec: str, packet: bytes | memoryview) -> bool:
    """Return whether decoding a packet outputs a frame; True for other codecs. codec: name of FFmpeg's decoder."""
    if not len(packet):
        return False
    if codec in ("vp8", "libvpx"):
        return bool(packet[0] >> 4 & 1)  # RFC 6386, section 9.1: show_frame
    if codec in ("vp9", "libvpx-vp9"):
        return packet[-1] & 0xE0 == SUPERFRAME or _is_vp9_shown(packet[0])
    return True


def is_vp9_key(packet: bytes | memoryview) -> bool:
    """Return whether the first frame of a VP9 packet is a keyframe: VP9 bitstream specification, section 6.2."""
    if not len(packet):
        return False
    profile = (packet[0] >> 5 & 1) | (packet[0] >> 3 & 2)
    bits = packet[0] << 1 if profile == 3 else packet[0]
    return not bits >> 3 & 1 and not bits >> 2 & 1  # neither show_existing_frame nor an inter frame


def _is_vp9_shown(first: int) -> bool:
    """Read show_existing_frame or show_frame in the first header byte: VP9 bitstream specification, section 6.2."""
    profile = (first >> 5 & 1) | (first >> 3 & 2)  # profile_low_bit is stored first
    bits = first << 1 if profile == 3 else first  # profile 3 has an additional reserved bit
    return bool(bits >> 3 & 1) or bool(bits >> 1 & 1)
