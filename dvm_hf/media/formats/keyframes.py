"""Which frame each packet of a video holds, where decoding may begin, and what it may leave out. Numbers only."""

from bisect import bisect_right, insort
from collections.abc import Sequence
from typing import NamedTuple

LEAST_SAVED = 8  # frames: a seek costs the decoder's restart


class PacketFacts(NamedTuple):
    """What is known of a packet without decoding it.

    pts, dts: when it is shown and decoded, in the stream's time base. begins: nothing from it on needs what is before
    it. is_needed: other frames may need its frame.
    """

    pts: int | None
    dts: int | None
    size: int
    begins: bool
    is_needed: bool


class Timeline:
    """The frames of a video, numbered as they are shown, by the packets that hold them, in decoding order.

    numbers: of the frame in each packet; positions: of the packet of each frame. number_at: a frame's number, by its
    time. count: frames whose numbers are certain. reorder_depth: how many frames a decoder must hold back.
    """

    def __init__(self, packets: Sequence[PacketFacts], *, most: int | None = None, listed: int = 0) -> None:
        """most: the video goes on, but no frame from there on matters. listed: packets that there should be; where
        fewer are, frames behind the last packet's time may lack some before them.
        """
        times = [0 if packet.pts is None else packet.pts for packet in packets]
        rank = {time: number for number, time in enumerate(sorted(times))}
        self.packets, self.number_at = packets, rank
        self.numbers = [rank[time] for time in times]
        self.positions = sorted(range(len(times)), key=self.numbers.__getitem__)
        self.count, self.reorder_depth = len(packets), 0
        shown_later: list[int] = []  # numbers so far, sorted
        keys, highest = [], -1
        for position, number in enumerate(self.numbers):
            self.reorder_depth = max(self.reorder_depth, position - bisect_right(shown_later, number))
            insort(shown_later, number)
            if packets[position].begins and number == position == highest + 1:
                keys.append(position)
            highest = max(highest, number)
        self._keys = keys
        if most is not None:
            self.count = min(most, len(packets))
        elif listed > len(packets):
            last = packets[-1].dts
            self.count = sum(1 for time in times if last is not None and time <= last)

    def key_before(self, number: int) -> int:
        """The last key frame, by its number, from which a frame can be reached; as many packets come before it."""
        return self._keys[bisect_right(self._keys, number) - 1]

    def key_after(self, number: int) -> int:
        """The first key frame behind a frame; as many as there are packets where none comes."""
        place = bisect_right(self._keys, number)
        return self._keys[place] if place < len(self._keys) else len(self.packets)

    def spoilt_by(self, number: int) -> set[int]:
        """Frames that cannot be trusted where one is damaged: it and, if others may need it, all decoded after it."""
        position = self.positions[number]
        if not self.packets[position].is_needed:
            return {number}
        return set(self.numbers[position : self.key_after(number)])


def timeline(packets: Sequence[PacketFacts], *, most: int | None = None, listed: int = 0) -> Timeline | None:
    """The timeline of a video; None where its frames cannot be told apart or counted by their times.

    That is where times are missing or repeated, or where it does not begin with a key frame shown before all others.
    """
    times = [packet.pts for packet in packets]
    is_told = packets and None not in times and len(set(times)) == len(times)
    if not is_told or any(not packet.size for packet in packets):
        return None
    found = Timeline(packets, most=most, listed=listed)
    return found if found.key_after(-1) == 0 else None
