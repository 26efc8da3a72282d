"""Map packets to frames, and determine where decoding can begin and which packets it can skip. Decodes nothing."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dvm_hf.media.formats.nal_units import FrameKind

MIN_SKIPPED = 8  # frames; seeking restarts the decoder, so it must skip at least this many
KEY, NEEDED, KNOWN = 1, 2, 4  # bits of `PacketTable.kinds`
Integers = npt.NDArray[np.int64]


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


class PacketTable:
    """The packets of a video in decoding order. Frames are numbered in presentation order.

    pts, sizes: as in `PacketFacts`, int64.
    last_dts: decoding time of the last packet, or None.
    kinds: for each packet, `KEY` if decoding can begin there, and `NEEDED`. Without `KNOWN`, only the container's
        keyframe flag is known: `KEY` means that decoding may be able to begin there.
    """

    def __init__(self, pts: Integers, sizes: Integers, *, last_dts: int | None, kinds: bytearray) -> None:
        self.pts, self.sizes, self.last_dts, self.kinds = pts, sizes, last_dts, kinds

    def __len__(self) -> int:
        return len(self.pts)

    def based_on(self, pts: int, dts: int) -> "PacketTable":
        """Return the table with the times of the first packet; those in this table are relative to them."""
        last = None if self.last_dts is None else self.last_dts + dts
        return PacketTable(self.pts + pts, self.sizes, last_dts=last, kinds=self.kinds)

    @property
    def nbytes(self) -> int:
        return 5 * self.pts.nbytes + len(self.kinds)  # with the arrays that are computed from it

    @cached_property
    def positions(self) -> npt.NDArray[np.intp]:
        """Packet index of each frame."""
        return np.argsort(self.pts, kind="stable")

    @cached_property
    def numbers(self) -> npt.NDArray[np.intp]:
        """Frame number of each packet."""
        numbers = np.empty(len(self), np.intp)
        numbers[self.positions] = np.arange(len(self))
        return numbers

    @cached_property
    def sorted_pts(self) -> "array[int]":
        """Presentation time of each frame; in a type that `bisect` searches faster than NumPy's."""
        return array("q", self.pts[self.positions].tobytes())

    @cached_property
    def reorder_depth(self) -> int:
        """Number of frames that a decoder must buffer: the most that are decoded before a frame but shown after it."""
        depth = np.zeros(len(self), np.intp)
        highest = np.maximum.accumulate(self.numbers)
        for lag in range(1, len(self)):
            if not (highest[:-lag] > self.numbers[lag:]).any():
                break
            depth[lag:] += self.numbers[:-lag] > self.numbers[lag:]
        return int(depth.max(initial=0))

    @cached_property
    def starts(self) -> list[int]:
        """Packets that follow all earlier frames and precede all later ones in both orders, and may be keyframes."""
        return [start for start in self.open_starts if self.numbers[start] == start]

    @cached_property
    def open_starts(self) -> list[int]:
        """`starts`, and those with leading frames: shown before their keyframe, and decoded right after it.

        All frames up to the last leading one precede all later ones in both orders.
        """
        order, highest = np.arange(len(self)), np.maximum.accumulate(self.numbers)
        before = np.concatenate([[-1], highest[:-1]])
        is_flagged = np.frombuffer(self.kinds, np.uint8) & KEY > 0
        is_start = is_flagged & (before == order - 1) & (highest[self.numbers] == self.numbers)
        is_start[:1] &= self.numbers[:1] == 0
        return np.flatnonzero(is_start).tolist()


def packet_table(packets: Sequence[PacketFacts]) -> PacketTable | None:
    """Return the table of packets with known properties; None if a packet is empty or has no or an ambiguous pts."""
    times = [packet.pts for packet in packets if packet.pts is not None]
    if not packets or len(set(times)) < len(packets) or any(not packet.size for packet in packets):
        return None
    kinds = bytearray(KNOWN | KEY * one.is_random_access | NEEDED * one.is_needed for one in packets)
    sizes = np.array([packet.size for packet in packets], np.int64)
    return PacketTable(np.array(times, np.int64), sizes, last_dts=packets[-1].dts, kinds=kinds)


class Timeline:
    """The frames of a video, and the packets that they need.

    packets: table of the packets.
    count: number of frames whose numbers are certain.
    """

    def __init__(
        self,
        packets: PacketTable,
        *,
        max_frames: int | None = None,
        listed: int = 0,
        has_open_groups: bool = False,
        kind_of: Callable[[int], FrameKind] | None = None,
    ) -> None:
        """Number the frames of `packets`.

        max_frames: maximum number of frames, if the video continues after these packets.
        listed: expected number of packets. If there are fewer, frames after the last packet's dts are not counted,
            because frames before them may be missing.
        has_open_groups: whether the codec guarantees that no frame after a keyframe in both orders depends on the
            leading frames of that keyframe, which may depend on frames before it.
        kind_of: returns the kind of the frame in a packet if the table does not contain it.
        """
        self.packets, self._kind_of = packets, kind_of
        self._starts = packets.open_starts if has_open_groups else packets.starts
        self.count = len(packets)
        if max_frames is not None:
            self.count = min(max_frames, len(packets))
        elif listed > len(packets):
            last = packets.last_dts
            self.count = 0 if last is None else bisect_right(packets.sorted_pts, last)

    @property
    def begins_with_key(self) -> bool:
        """Whether the first packet is a keyframe that is displayed first; otherwise, frames cannot be identified."""
        return self.key_after(-1) == 0

    def number(self, position: int) -> int:
        """Return the frame number of a packet."""
        return int(self.packets.numbers[position])

    def position(self, number: int) -> int:
        """Return the packet index of a frame."""
        return int(self.packets.positions[number])

    def number_at(self, pts: int | None) -> int:
        """Return the frame with a presentation time; -1 if there is none."""
        times = self.packets.sorted_pts
        number = len(times) if pts is None else bisect_left(times, pts)
        return number if number < len(times) and times[number] == pts else -1

    def is_known(self, position: int) -> bool:
        """Return whether the table contains the kind of the frame in a packet."""
        return bool(self.packets.kinds[position] & KNOWN)

    def learn(self, position: int, kind: FrameKind) -> None:
        """Store the kind of the frame in a packet for which the table contains only the container's flag."""
        is_key = self.packets.kinds[position] & KEY and kind.is_key
        self.packets.kinds[position] = KNOWN | KEY * bool(is_key) | NEEDED * kind.is_needed

    def is_needed(self, position: int) -> bool:
        """Return whether other frames may depend on the frame in a packet."""
        return bool(self._known_kind(position) & NEEDED)

    def _known_kind(self, position: int) -> int:
        if not self.is_known(position):
            assert self._kind_of is not None
            self.learn(position, self._kind_of(position))
        return self.packets.kinds[position]

    def key_before(self, number: int) -> int:
        """Return the packet of the last keyframe from which a frame can be decoded."""
        starts = self._starts[: bisect_right(self._starts, number, key=self.number)]
        return next((key for key in reversed(starts) if self._known_kind(key) & KEY), 0)

    def key_after(self, number: int) -> int:
        """Return the packet of the first keyframe shown after a frame; the number of packets if there is none."""
        later = self._starts[bisect_right(self._starts, number, key=self.number) :]
        return next((key for key in later if self._known_kind(key) & KEY), len(self.packets))

    def affected_by(self, number: int) -> set[int]:
        """Return the frames affected by a damaged one: itself and, if others may depend on it, all that follow.

        Following means decoded after it, up to the next keyframe, and the leading frames of that keyframe. A leading
        frame affects only other leading ones of the same keyframe.
        """
        position = self.position(number)
        if not self.is_needed(position):
            return {number}
        key, numbers = self.key_after(number), self.packets.numbers
        leading = numbers[key + 1 : numbers[key] + 1] if key < len(numbers) else numbers[:0]
        if key < position:
            return set(numbers[position : numbers[key] + 1].tolist())
        return {*numbers[position:key].tolist(), *leading.tolist()}
