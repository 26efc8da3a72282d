"""Random video foregrounds like those from cameras, editors and recorders, and which of them a build pairs.

The pixels of every frame encode its number, so a wrong pair is visible. `python tests/pair_fuzz.py --count 300` prints
how many pairs were drawn, paired and refused.
"""

import argparse
import logging
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numbered_films import (
    OPEN_GROUPS,
    copied,
    cut_from_second_key_frame,
    edited,
    emptied,
    film,
    number_in,
    with_null_frames,
)

from dvm_hf.clips.plan import ClipPlan, Rendering
from dvm_hf.clips.windows import render
from dvm_hf.errors import SourceError
from dvm_hf.media.video.video_writing import write_video
from dvm_hf.sources.records import Background, Foreground

RATES = (23.976, 24, 25, 29.97, 30, 50, 60, 120)
INTRA = ("libx264", {"g": "1", "bf": "0"})
REORDERED: tuple[tuple[str, dict[str, str]], ...] = (
    ("libx264", {"g": "12", "bf": "2"}),
    ("libx264", {"g": "250", "bf": "3"}),
    ("libx264", {"x264-params": OPEN_GROUPS}),
    ("libx265", {"x265-params": "keyint=12:bframes=3:log-level=none"}),
    ("libx265", {"x265-params": "keyint=250:bframes=4:log-level=none"}),
)
FILMS: tuple[tuple[str, str, dict[str, str]], ...] = (  # codec, suffix, options
    *(
        ("libx264", suffix, {"g": gop, "bf": bf})
        for suffix in ("mp4", "mov", "mkv", "ts")
        for gop, bf in (("1", "0"), ("4", "0"), ("12", "2"), ("250", "3"))
    ),
    ("libx264", "mp4", {"x264-params": "keyint=12:open-gop=1:bframes=3:b-pyramid=normal"}),
    ("libx264", "avi", {"g": "12", "bf": "0"}),
    ("libx265", "mp4", {"x265-params": "keyint=12:open-gop=1:log-level=none"}),
    ("libx265", "mkv", {"x265-params": "keyint=250:bframes=4:log-level=none"}),
    ("mpeg4", "mp4", {"g": "12", "bf": "2"}),
    ("mpeg4", "avi", {"g": "12", "bf": "2"}),
    ("mpeg2video", "mpg", {"g": "12", "bf": "2"}),
    ("mpeg2video", "ts", {"g": "12", "bf": "2"}),
    ("libvpx", "webm", {"auto-alt-ref": "1", "lag-in-frames": "16"}),
    ("libvpx-vp9", "webm", {"crf": "10", "b": "0", "deadline": "realtime", "cpu-used": "8"}),
    ("mjpeg", "mov", {}),
    ("mjpeg", "avi", {}),
    ("prores_ks", "mov", {}),
    ("png", "mov", {}),
    ("ffv1", "mkv", {}),
)


UNEVEN = [one for one in FILMS if one[0] not in ("mpeg4", "mpeg2video", "libvpx") and one[1] != "avi"]


@dataclass(frozen=True)
class Shown:
    """The numbers that a player shows, in order. is_whole: no frame is missing or repeated."""

    numbers: tuple[int, ...]
    is_whole: bool = True


class Drawn(NamedTuple):
    """A pair of videos. must_pair: both are complete and show the same numbers. kind: how they were changed."""

    kind: str
    colour: Path
    alpha: Path
    shown: tuple[Shown, Shown]

    @property
    def must_pair(self) -> bool:
        first, second = self.shown
        return first.is_whole and second.is_whole and first.numbers == second.numbers


class Draw:
    """Draw videos into a folder."""

    def __init__(self, folder: Path, rng: np.random.Generator) -> None:
        self.folder, self.rng = folder, rng
        self.count = int(rng.integers(16, 30))
        self.numbers = tuple(range(1, self.count + 1))
        self.seconds: list[float] | None = None  # when they are shown, for a variable rate
        self.lost: int | None = None  # index of the frame that the colour lost

    def choice(self, options: Sequence[Any]) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def plain(self, name: str, numbers: Sequence[int]) -> Path:
        if self.seconds is not None and len(numbers) <= self.count:
            return self.timed(name, numbers)
        codec, suffix, options = self.choice(FILMS)
        rate = 25 if codec.startswith("mpeg") else self.choice(RATES)
        return film(self.folder / f"{name}.{suffix}", numbers, codec, rate=rate, **options)

    def timed(self, name: str, numbers: Sequence[int]) -> Path:
        """A film at a variable rate, which shows each number at its time."""
        assert self.seconds is not None
        codec, suffix, options = self.choice(UNEVEN)
        begin = self.choice((0.0, 0.0, float(self.rng.uniform(0, 2))))
        times = [begin + self.seconds[number - 1] for number in numbers]
        return film(self.folder / f"{name}.{suffix}", numbers, codec, seconds=times, **options)

    def uneven(self, name: str) -> tuple[Path, Shown]:
        """A variable rate, and perhaps a lost frame."""
        steps = self.choice(
            (
                self.rng.uniform(0.015, 0.06, self.count),
                self.rng.uniform(0.02, 0.15, self.count),
                self.rng.choice((1 / 30, 1 / 30, 1 / 15), self.count) + self.rng.normal(0, 0.001, self.count),
                self.rng.choice((1, 2, 4, 9), self.count) / 60,
            )
        )
        self.seconds = list(np.cumsum(steps) - steps[0])
        if self.rng.random() < 0.5:
            return self.plain(name, self.numbers), Shown(self.numbers)
        self.lost = int(self.rng.integers(1, self.count - 3))
        return self.losing(name, self.lost)

    def losing(self, name: str, index: int) -> tuple[Path, Shown]:
        numbers = (*self.numbers[:index], *self.numbers[index + 1 :])
        return self.plain(name, numbers), Shown(numbers, is_whole=False)

    def joined(self, name: str) -> tuple[Path, Shown]:
        """An edit list that joins two or three parts of a film with reordered frames."""
        codec, options = self.choice(REORDERED)
        source = film(self.folder / f"{name}.{self.choice(('mp4', 'mov'))}", range(1, 41), codec, **options)
        lengths = [int(length) for length in self.rng.integers(3, 12, self.choice((2, 2, 3)))]
        edits = [(int(self.rng.integers(0, 40 - length)), length) for length in lengths]
        edits = self.choice((edits, edits, [(0, 10), (10, 10)], [(11, 3), (25, 3)], [(0, 12), (24, 12)]))
        if self.rng.random() < 0.2:
            edits = [(-1, 3), *edits]
        numbers = tuple(first + 1 + at for first, many in edits if first >= 0 for at in range(many))
        if len(numbers) == self.count:  # a matte of other frames would have the same times
            self.numbers = tuple(range(1, self.count))
        return edited(source, edits), Shown(numbers)

    def whole(self, name: str) -> tuple[Path, Shown]:
        return self.plain(name, self.numbers), Shown(self.numbers)

    def fragmented(self, name: str) -> tuple[Path, Shown]:
        source = film(self.folder / "source.mp4", self.numbers, "libx264", g="8", bf=self.choice(("0", "2")))
        flags = self.choice(("faststart", "frag_keyframe+empty_moov+default_base_moof"))
        return copied(self.folder / f"{name}.mp4", source, movflags=flags), Shown(self.numbers)

    def shifted(self, name: str) -> tuple[Path, Shown]:
        """Times that do not begin at 0."""
        source = film(self.folder / "source.mkv", self.numbers, "mjpeg")
        path = copied(
            self.folder / f"{name}.{self.choice(('mkv', 'mov'))}", source, shift=-int(self.rng.integers(1, 900))
        )
        return path, Shown(self.numbers)

    def trimmed(self, name: str) -> tuple[Path, Shown]:
        """An edit list of one or two entries, or one that begins with nothing."""
        gop = self.choice(("1", "4", "30"))
        path = film(self.folder / f"{name}.mp4", self.numbers, "libx264", g=gop, bf="0")
        start, length = int(self.rng.integers(0, 5)), int(self.rng.integers(4, 7))
        edits = self.choice(
            (
                [(start, length)],
                [(start, length), (self.count - 6, 5)],
                [(start, length), (start, length)],
                [(-1, 3), (0, self.count)],
            )
        )
        runs = (self.numbers[first : first + many] for first, many in edits if first >= 0)
        return edited(path, edits), Shown(tuple(number for run in runs for number in run))

    def with_gaps(self, name: str) -> tuple[Path, Shown]:
        """Empty samples or chunks: the previous picture is shown again."""
        which = sorted(
            int(n) for n in self.rng.choice(np.arange(2, self.count - 2), self.choice((1, 2, 3)), replace=False)
        )
        shown = [number for number in self.numbers]
        for index in which:
            shown[index] = shown[index - 1]
        make: Callable[[Path, Sequence[int]], Path] = emptied
        suffix, codec, options = self.choice((("mp4", *INTRA), ("mov", "mjpeg", {}), ("avi", "mjpeg", {})))
        if suffix == "avi":
            make = with_null_frames
        path = film(self.folder / f"{name}.{suffix}", self.numbers, codec, **options)
        return make(path, which), Shown(tuple(shown), is_whole=False)

    def dropped(self, name: str) -> tuple[Path, Shown]:
        """A packet is missing."""
        suffix, codec, options = self.choice(
            (("mkv", "ffv1", {}), ("mov", "prores_ks", {}), ("mp4", *INTRA), ("ts", *INTRA))
        )
        source = film(self.folder / f"source.{suffix}", self.numbers, codec, **options)
        number = self.lost = int(self.rng.integers(1, self.count - 1))
        path = copied(self.folder / f"{name}.{suffix}", source, lambda packet: packet != number)
        return path, Shown(tuple(n for n in self.numbers if n != number + 1), is_whole=False)

    def lacking(self, name: str, numbers: Sequence[int]) -> tuple[Path, Shown]:
        """The same number of frames: one is missing in the middle, one is added at the end."""
        source = film(self.folder / "matte.mov", (*numbers, 200), "mjpeg")
        number = int(self.rng.integers(1, len(numbers) - 1))
        number += number == self.lost  # the same gap in both files would give the same times
        path = copied(self.folder / f"{name}.{self.choice(('mov', 'mkv'))}", source, lambda packet: packet != number)
        return path, Shown((*numbers[:number], *numbers[number + 1 :], 200), is_whole=False)

    def cut_open(self, name: str) -> tuple[Path, Shown]:
        """Cut out of a longer video: the first three listed frames cannot be decoded."""
        codec = self.choice(("libx264", "libx265"))
        key = "x264-params" if codec == "libx264" else "x265-params"
        options = {key: OPEN_GROUPS if codec == "libx264" else f"{OPEN_GROUPS}:log-level=none"}
        # the second group's leading frames carry the numbers -2 .. 0 of this take: 253, 254, 255
        numbers = [*range(100, 109), 253, 254, 255, *range(1, 40)]
        source = film(self.folder / "source.mp4", numbers, codec, **options)
        path = cut_from_second_key_frame(
            self.folder / f"{name}.{self.choice(('mp4', 'mkv', 'mov'))}", source, self.count
        )
        return path, Shown(self.numbers[: self.count - 3], is_whole=False)

    def cut_short(self, name: str) -> tuple[Path, Shown]:
        """The end of the file is missing."""
        source = film(self.folder / "source.mp4", self.numbers, "libx264", g="1", bf="0")
        path = copied(self.folder / f"{name}.mp4", source, movflags="faststart")
        data = path.read_bytes()
        path.write_bytes(data[: len(data) - (len(data) - data.index(b"mdat")) // 3])
        return path, Shown((), is_whole=False)  # however many are left


KINDS = (
    *("whole", "whole", "whole", "whole", "fragmented", "fragmented", "shifted", "shifted", "trimmed", "trimmed"),
    *("joined", "joined", "joined", "uneven", "uneven"),
    *("with_gaps", "dropped", "cut_open", "cut_short"),
)
MATTES = ("shown", "shown", "shown", "listed", "whole", "short", "lacks one")


def drawn(folder: Path, seed: int) -> Drawn:
    """Draw a pair of videos into a folder, reproducible by seed."""
    rng = np.random.default_rng(seed)
    draw = Draw(folder, rng)
    kind, matte = draw.choice(KINDS), draw.choice(MATTES)
    colour, shown = getattr(draw, kind)("f")
    numbers = shown.numbers or draw.numbers
    if matte == "whole":
        alpha, other = draw.whole("a")
    elif matte == "lacks one" and draw.seconds is not None:
        lost = draw.count // 2 if draw.lost is None else draw.lost + draw.choice((1, 1, 2))
        alpha, other = draw.losing("a", lost)
    elif matte == "lacks one":
        alpha, other = draw.lacking("a", numbers)
    elif matte == "listed":
        alpha, other = draw.plain("a", draw.numbers), Shown(draw.numbers)
    else:
        made = {"shown": numbers, "short": numbers[:-1]}[matte]
        alpha, other = draw.plain("a", made), Shown(tuple(made))
    if rng.random() < 0.5:
        colour, alpha, shown, other = alpha, colour, other, shown
    return Drawn(f"{kind}, matte {matte}", colour, alpha, (shown, other))


def pairs(found: Drawn, background: Path) -> list[tuple[int, int]] | str:
    """Return the numbers in colour and alpha of every composite, or the reason for an error."""
    foreground = Foreground("video", "0000", found.colour, found.alpha)
    rendering = Rendering(columns=("alpha", "foreground"), clip_length=5, remainder="keep")
    plan = ClipPlan("video_0000_0000", foreground, Background("0000", background), 5, rendering)
    try:
        windows = render(plan, each=lambda frame: (number_in(frame.foreground), number_in(frame.alpha)))
        return [pair for window in windows for pair in window.frames]
    except SourceError as error:
        return str(error)


def outcome(found: Drawn, made: list[tuple[int, int]] | str) -> str:
    """Return paired or refused, or a fault: WRONG PAIR, WHOLE REFUSED, FRAMES MISSING."""
    if isinstance(made, str):
        return "WHOLE REFUSED" if found.must_pair else "refused"
    if any(colour != alpha for colour, alpha in made):
        return "WRONG PAIR"
    if found.must_pair and [colour for colour, _ in made] != list(found.shown[0].numbers):
        return "FRAMES MISSING"
    return "paired"


def background(folder: Path) -> Path:
    path = folder / "background.mp4"
    write_video(path, (np.full((64, 128, 3), 3 * index, np.uint8) for index in range(64)))
    return path


def run(seeds: Sequence[int], *, show: Callable[[str], None] = lambda line: None) -> Counter[tuple[str, str]]:
    """Count the outcomes of each kind of pair."""
    counts: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as name:
        behind = background(Path(name))
        for seed in seeds:
            folder = Path(name, str(seed))
            folder.mkdir()
            found = drawn(folder, seed)
            made = pairs(found, behind)
            result = outcome(found, made)
            counts[found.kind, result] += 1
            if result.isupper():
                show(
                    f"seed {seed}: {found.kind}: {result}: {found.colour.name} {found.alpha.name} {found.shown} {made}"
                )
            for path in folder.iterdir():
                path.unlink()
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    counts = run(range(options.seed, options.seed + options.count), show=print)
    for (kind, result), count in sorted(counts.items()):
        print(f"{kind:34} {result:14} {count:4}")
    totals = Counter[str]()
    for (_, result), count in counts.items():
        totals[result] += count
    print(f"{options.count} pairs: {dict(totals)}")
    sys.exit(any(result.isupper() for result in totals))


if __name__ == "__main__":
    main()
