"""The table of a video's packets: from the index of an MP4 or MOV, or by reading them all."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

from dvm_hf.machine_faults import raise_machine_fault
from dvm_hf.media.formats.file_parts import FilePart
from dvm_hf.media.formats.keyframes import KEY, KNOWN, NEEDED, PacketFacts, PacketTable, packet_table
from dvm_hf.media.formats.mp4_samples import sample_times
from dvm_hf.media.formats.nal_units import (
    UNKNOWN,
    FrameKind,
    PacketBytes,
    frame_kind,
    has_one_sublayer,
    unit_length_size,
)
from dvm_hf.media.formats.vp_frames import is_shown
from dvm_hf.media.video.alpha_decoders import begins_alpha
from dvm_hf.media.video.video_tags import HIDDEN_ALPHA

# Codecs with one frame per packet, whose packets show where decoding can begin.
CODECS = ("h264", "hevc", "av1", "libdav1d", "vp9", "libvpx-vp9", "prores", "mjpeg")
WITH_NAL_UNITS = ("h264", "hevc")
WITH_HIDDEN_FRAMES = ("vp9", "libvpx-vp9")  # whose packets show whether they contain a displayed frame


class FoundPackets(NamedTuple):
    """The first packets of a video.

    table: None if the video must be read sequentially.
    is_cut: whether the video may continue after them.
    has_ended_well: whether no fault ended the reading.
    """

    table: PacketTable | None
    is_cut: bool = False
    has_ended_well: bool = True


def listed_packets(path: Path, stream: Any, *, limit: int | None) -> FoundPackets | None:
    """Return the packets that the index of an open MP4 or MOV lists, up to `limit`; None if they must be read.

    Times are relative to those of the first packet, see `PacketTable.based_on`. Kinds of frames are unknown if their
    packets contain them. A file that is too short ends before the first sample that it lacks.
    """
    codec = stream.codec_context
    is_mp4 = stream.container.format.name.startswith("mov")
    if not is_mp4 or codec.name not in CODECS or codec.name in WITH_HIDDEN_FRAMES:
        return None
    if codec.name in WITH_NAL_UNITS and unit_length_size(codec.name, codec.extradata) is None:
        return None
    entries, length = stream.index_entries, path.stat().st_size
    decoded, delays = sample_times(path, stream.id, len(entries))
    chosen = [entries[at] for at in range(min(len(decoded), len(entries) if limit is None else limit))]
    if not chosen or any(one.is_discard or one.size <= 0 for one in chosen):
        return None
    first = chosen[0].timestamp - decoded[0]
    if any(one.timestamp - time != first for one, time in zip(chosen, decoded, strict=False)):
        return None  # edits join several parts
    present = next((at for at, one in enumerate(chosen) if one.pos + one.size > length), len(chosen))
    pts = np.array([time + delay for time, delay in zip(decoded[:present], delays[:present], strict=True)], np.int64)
    if not present or len(np.unique(pts)) < present:
        return None
    known = 0 if codec.name in WITH_NAL_UNITS else KNOWN | NEEDED
    table = PacketTable(
        pts - pts[0],
        np.array([one.size for one in chosen[:present]], np.int64),
        last_dts=decoded[present - 1] - decoded[0],
        kinds=bytearray(known | KEY * one.is_keyframe for one in chosen[:present]),
    )
    return FoundPackets(table, present == limit)


def read_packets(path: Path, packets: Iterable[Any], decoder: Any, *, limit: int | None) -> FoundPackets:
    """Return the packets of a video up to `limit`. packets: as the container yields them from its start."""
    length_size = unit_length_size(decoder.name, decoder.extradata)
    if length_size is None and decoder.name in WITH_NAL_UNITS:
        return FoundPackets(None)
    has_alpha = decoder.name in HIDDEN_ALPHA.values()
    found: list[PacketFacts] = []
    has_ended_well = True
    try:
        for packet in packets:
            if packet.is_discard:  # hidden by an edit list
                return FoundPackets(None)
            if not packet.size and packet.dts is None:  # end of the stream
                break
            if packet.is_corrupt or len(found) == limit:
                has_ended_well = not packet.is_corrupt
                break
            if not is_shown(decoder.name, memoryview(packet)):
                return FoundPackets(None)
            kind = packet_kind(packet, decoder)
            is_random_access = packet.is_keyframe and kind.is_key and (not has_alpha or begins_alpha(packet))
            found.append(PacketFacts(packet.pts, packet.dts, packet.size, is_random_access, kind.is_needed))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise_machine_fault(path, error)  # otherwise the video ends there
        has_ended_well = False
    return FoundPackets(packet_table(found), len(found) == limit, has_ended_well)


def packet_kind(packet: Any, decoder: Any) -> FrameKind:
    """Return the kind of the frame in a packet, as far as the packet shows it."""
    if unit_length_size(decoder.name, decoder.extradata) is None:
        return FrameKind(is_key=True, is_needed=True)
    return _frame_kind(memoryview(packet), decoder) if packet.size else UNKNOWN


def listed_kind(path: Path, stream: Any, position: int, *, size: int) -> FrameKind | None:
    """Return the kind of the frame in a packet of an open MP4, of which only the headers of units are read.

    Return None if the packet has another size.
    """
    codec, entries = stream.codec_context, stream.index_entries
    if position >= len(entries) or entries[position].size != size:
        return None
    try:
        with path.open("rb", buffering=0) as file:
            return _frame_kind(FilePart(file, entries[position].pos, size), codec)
    except OSError as error:
        raise_machine_fault(path, error)
        return UNKNOWN


def _frame_kind(packet: PacketBytes, decoder: Any) -> FrameKind:
    """Return the kind of a frame of H.264 or H.265."""
    name, header = decoder.name, decoder.extradata
    length_size = unit_length_size(name, header)
    if length_size is None:
        return UNKNOWN
    return frame_kind(name, packet, length_size, has_one_sublayer=has_one_sublayer(name, header))
