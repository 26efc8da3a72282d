"""Map packets to frames, and determine where decoding can begin and which packets it can skip. Decodes nothing."""

from bisect import bisect_right, insort
from collections.abc import Sequence
from typing import NamedTuple

MIN_SKIPPED = 8  # frames; seeking restarts the decoder, so it must skip at least this many


class PacketFacts(NamedTuple):
    """Properties of a packet that are known without decoding it.

    pts, dts: presentation and decoding time in the stream's time base.
    size: bytes.
    is_random_access: whether decoding can begin here: neither this nor a later packet depends on an earlier one.
    is_needed: whether other frames may depend on its frame.
    """

    pts: int | None
    dts: int | None
    size: int
    is_random_access: bool
    is_needed: bool


class Timeline:
    """Packets of a video in decoding order, and their frames, numbered in presentation order.

    numbers: frame number of each packet.
    positions: packet index of each frame.
    number_at: frame number by pts.
    count: number of frames whose numbers are certain.
    reorder_depth: number of frames that a decoder must buffer for reordering.
    """

    def __init__(self, packets: Sequence[PacketFacts], *, max_frames: int | None = None, listed: int = 0) -> None:
        """Number the frames of `packets`.

        max_frames: maximum number of frames, if the video continues after these packets.
        listed: expected number of packets. If there are fewer, frames after the last packet's dts are not counted,
            because frames before them may be missing.
        """
        times = [0 if packet.pts is None else packet.pts for packet in packets]
        rank = {time: number for number, time in enumerate(sorted(times))}
        self.packets, self.number_at = packets, rank
        self.numbers = [rank[time] for time in times]
        self.positions = sorted(range(len(times)), key=self.numbers.__getitem__)
        self.count, self.reorder_depth = len(packets), 0
        shown_later: list[int] = []  # frame numbers up to this packet, sorted
        keys, highest = [], -1
        for position, number in enumerate(self.numbers):
            self.reorder_depth = max(self.reorder_depth, position - bisect_right(shown_later, number))
            insort(shown_later, number)
            if packets[position].is_random_access and number == position == highest + 1:
                keys.append(position)
            highest = max(highest, number)
        self._keys = keys
        if max_frames is not None:
            self.count = min(max_frames, len(packets))
        elif listed > len(packets):
            last = packets[-1].dts
            self.count = sum(1 for time in times if last is not None and time <= last)

    def key_before(self, number: int) -> int:
        """Return the last keyframe from which a frame can be decoded. Its number is also its packet index."""
        return self._keys[bisect_right(self._keys, number) - 1]

    def key_after(self, number: int) -> int:
        """Return the first keyframe after a frame; the number of packets if there is none."""
        at = bisect_right(self._keys, number)
        return self._keys[at] if at < len(self._keys) else len(self.packets)

    def affected_by(self, number: int) -> set[int]:
        """Return the frames affected by a damaged one: itself and, if others may depend on it, all that follow.

        Following means decoded after it, up to the next keyframe.
        """
        position = self.positions[number]
        if not self.packets[position].is_needed:
            return {number}
        return set(self.numbers[position : self.key_after(number)])


def timeline(packets: Sequence[PacketFacts], *, max_frames: int | None = None, listed: int = 0) -> Timeline | None:
    """Return the timeline of a video, or None if its frames cannot be identified by their timestamps.

    That is the case if timestamps are missing or repeated, or if the video does not begin with a keyframe that is
    displayed first.
    """
    times = [packet.pts for packet in packets]
    has_times = packets and None not in times and len(set(times)) == len(times)
    if not has_times or any(not packet.size for packet in packets):
        return None
    found = Timeline(packets, max_frames=max_frames, listed=listed)
    return found if found.key_after(-1) == 0 else None
