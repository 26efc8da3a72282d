"""Opening a video: what is read and decoded the first time and later, and that both give the same video."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import pytest
from media_arrays import noise
from numbered_films import edited
from own_alpha import VP9, WITH_ALPHA, film, write_video

from dvm_hf.errors import SourceError
from dvm_hf.media import kept_facts, matte_faults
from dvm_hf.media.kept_facts import KEPT
from dvm_hf.media.matte_faults import video_fault
from dvm_hf.media.video import seekable_frames, sequential_frames, videos
from dvm_hf.media.video.opening_facts import OPENINGS, opening_facts
from dvm_hf.media.video.seekable_frames import SeekableFrames
from dvm_hf.media.video.sequential_frames import SCANS, SequentialFrames
from dvm_hf.media.video.video_tags import Role
from dvm_hf.media.video.videos import Video

FRAMES = 40
PICTURES = [noise(64, 96, 3, seed=number // 4) for number in range(FRAMES)]
H264 = {"g": "8", "bf": "2"}


def with_aspect(path: Path) -> Path:
    """Pixels of 4:3, declared by the codec and the container."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        for pixels in PICTURES[:4]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def turned(path: Path) -> Path:
    """Turned by 90 degrees in the header."""
    data = bytearray(write_video(path, PICTURES, "libx264", "yuv420p", **H264).read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = np.array([0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30], ">i4").tobytes()
    path.write_bytes(data)
    return path


FORMS: dict[str, tuple[str, Role, Callable[[Path], Path]]] = {
    "MP4": ("v.mp4", "colour", lambda path: write_video(path, PICTURES, "libx264", "yuv420p", **H264)),
    "MP4 as alpha": ("v.mp4", "alpha", lambda path: write_video(path, PICTURES, "libx264", "yuv420p", **H264)),
    "10 bit": ("v.mp4", "colour", lambda path: write_video(path, PICTURES, "libx264", "yuv420p10le", **H264)),
    "Matroska": ("v.mkv", "colour", lambda path: write_video(path, PICTURES, "libx264", "yuv420p", **H264)),
    "VP9": ("v.webm", "colour", lambda path: write_video(path, PICTURES, "libvpx-vp9", "yuv420p", g="8", **VP9)),
    "VP9 with alpha": ("9.webm", "both", lambda path: WITH_ALPHA["vp9"](path.parent, film(FRAMES))),
    "ProRes with alpha": ("4.mov", "both", lambda path: WITH_ALPHA["prores 4444"](path.parent, film(FRAMES))),
    "ProRes, alpha only": ("4.mov", "alpha", lambda path: WITH_ALPHA["prores 4444"](path.parent, film(FRAMES))),
    "PNG": ("p.mov", "both", lambda path: WITH_ALPHA["png"](path.parent, film(FRAMES))),
    "FFV1": ("v.mkv", "colour", lambda path: write_video(path, PICTURES, "ffv1", "yuv420p")),
    "transport stream": ("v.ts", "colour", lambda path: write_video(path, PICTURES, "libx264", "yuv420p", **H264)),
    "AVI": ("v.avi", "colour", lambda path: write_video(path, PICTURES, "mpeg4", "yuv420p")),
    "turned": ("v.mp4", "colour", turned),
    "aspect": ("v.mkv", "colour", with_aspect),
    "parts": (
        "v.mp4",
        "colour",
        lambda path: edited(write_video(path, PICTURES, "libx264", "yuv420p", g="4"), [(0, 12), (20, 12)]),
    ),
}
SEQUENTIAL = ("PNG", "FFV1", "transport stream", "AVI", "parts")


@pytest.fixture(autouse=True)
def _facts_are_kept_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_facts, "RECENT", 0)


def seen(path: Path, role: Role, *, max_frames: int | None) -> tuple[Any, ...]:
    """All that a video shows of itself, and some of its frames."""
    with Video(path, role=role, max_frames=max_frames) as video:
        facts = (video.size, video.orientation, video.display, video.frame_count, video.reads_alpha_channel)
        pictures = dict(video.pictures([0, 3, 17, 18, 31][: 5 if max_frames is None else 4]))
        shown = video.presentation()
        whole = [(picture.rgb(video._whole), picture.alpha(video._whole)) for picture in pictures.values()]
    return facts, shown, list(pictures), whole


def equal(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    pixels = zip(itertools.chain(*one[3]), itertools.chain(*other[3]), strict=True)
    return one[:3] == other[:3] and all(np.array_equal(a, b) for a, b in pixels)


@pytest.mark.parametrize("max_frames", [None, 20])
@pytest.mark.parametrize("form", FORMS)
def test_a_video_is_the_same_each_time_it_is_opened(
    tmp_path: Path, form: str, max_frames: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without kept facts, with those of this process, and with those on the disk."""
    name, role, write = FORMS[form]
    path = write(tmp_path / name)
    first = seen(path, role, max_frames=max_frames)
    read: list[str] = []
    for module, function in ((seekable_frames, "read_packets"), (sequential_frames, "scanned")):
        monkeypatch.setattr(module, function, lambda *given, **options: read.append("packets"))
    assert equal(seen(path, role, max_frames=max_frames), first)
    KEPT.clear()
    assert equal(seen(path, role, max_frames=max_frames), first)
    assert read == []
    with Video(path, role=role, max_frames=max_frames) as video:
        assert isinstance(video._source, SequentialFrames if form in SEQUENTIAL else SeekableFrames)


@pytest.mark.parametrize("form", [form for form in FORMS if form not in SEQUENTIAL])
def test_no_frame_is_decoded_when_a_known_video_is_opened(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, role, write = FORMS[form]
    path = write(tmp_path / name)
    sent: list[int] = []
    decoded = SeekableFrames._decoded
    monkeypatch.setattr(SeekableFrames, "_decoded", lambda *given: sent.append(1) or decoded(*given))
    with Video(path, role=role):
        assert sent
    sent.clear()
    with Video(path, role=role) as video:
        assert video.presentation().count == video.frame_count
        assert sent == []


def bytes_read(action: Callable[[], object]) -> int:
    """Return how many bytes this process reads from files."""

    def total() -> int:
        text = Path("/proc/self/io").read_text()
        return int(text.split()[1])

    before = total()
    action()
    return total() - before


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs Linux")
@pytest.mark.parametrize(("suffix", "is_read_whole"), [(".mp4", False), (".mkv", True)])
def test_four_frames_of_a_long_video_read_little_of_it(tmp_path: Path, suffix: str, is_read_whole: bool) -> None:
    """An MP4 lists its packets. A Matroska file does not: all are read, once."""
    path = tmp_path / f"long{suffix}"
    options = {"g": "20", "bf": "2", "preset": "ultrafast", "qp": "4"}
    write_video(path, [noise(144, 176, 3, seed=number) for number in range(150)], "libx264", "yuv420p", **options)
    size = path.stat().st_size
    assert size > 4_000_000

    def window() -> None:
        with Video(path) as video:
            assert len(list(video.pictures(range(90, 94)))) == 4

    first = bytes_read(window)
    again = bytes_read(window)
    KEPT.clear()
    in_another_process = bytes_read(window)
    assert (first >= size) is is_read_whole
    assert max(again, in_another_process, 0 if is_read_whole else first) < size / 4


def sent_positions(video: Video, wanted: Sequence[int]) -> list[int]:
    """Return the packets that are decoded for some frames, by their index in decoding order."""
    source = video._source
    assert isinstance(source, SeekableFrames)
    sent: list[int] = []
    decoded = source._decoded

    def recorded(packet: Any, number: int = -1) -> list[Any]:
        if packet is not None:
            sent.append(source.timeline.position(number))
        return decoded(packet, number)

    source._decoded = recorded  # type: ignore[method-assign]
    assert [index for index, _ in video.pictures(wanted)] == list(wanted)
    del source._decoded
    return sent


class Packet(NamedTuple):
    """A packet of H.264, by its own bytes: number of its frame, and the kind of its slices."""

    number: int
    is_key: bool
    is_reference: bool


def h264_packets(path: Path) -> list[Packet]:
    with av.open(str(path)) as container:
        found = [(packet.pts, bytes(packet)) for packet in container.demux(video=0) if packet.size]
    order = sorted(pts for pts, _ in found)
    packets = []
    for pts, data in found:
        at, heads = 0, []
        while at < len(data):
            heads.append(data[at + 4])
            at += 4 + int.from_bytes(data[at : at + 4], "big")
        slices = [head for head in heads if head & 31 in (1, 5)]
        packets.append(Packet(order.index(pts), slices[0] & 31 == 5, slices[0] >> 5 & 3 > 0))
    return packets


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_a_window_decodes_exactly_the_packets_that_it_needs(
    tmp_path: Path, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reference frames from the last keyframe to the last requested packet, and the requested frames."""
    monkeypatch.setattr(videos, "decoder_threads", lambda: threads)
    options = {"g": "24", "bf": "3", "x264-params": "b-pyramid=normal:b-adapt=0:scenecut=0"}
    pictures = [noise(64, 96, 3, seed=number) for number in range(60)]
    path = write_video(tmp_path / "v.mp4", pictures, "libx264", "yuv420p", **options)
    packets = h264_packets(path)
    assert [packet.number for packet in packets if packet.is_key] == [0, 24, 48]
    assert sum(not packet.is_reference for packet in packets) > 20
    with Video(path):
        pass
    for wanted in (range(4), range(9, 13), range(12, 16), range(33, 37), range(48, 52), [50], [13, 18]):
        places = [at for at, packet in enumerate(packets) if packet.number in wanted]
        key = max(at for at, packet in enumerate(packets) if packet.is_key and packet.number <= wanted[0])
        between = range(key, max(places) + 1)
        with Video(path) as video:
            sent = sent_positions(video, wanted)
        assert sent == [at for at in between if packets[at].is_reference or at in places], wanted


def test_frames_can_be_requested_again_and_in_any_order(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", PICTURES, "libx264", "yuv420p", g="12", bf="2")
    with Video(path) as video:
        whole = dict(video.colours(range(FRAMES)))
    assert len(whole) == FRAMES
    with Video(path) as video:
        for wanted in ([30, 31], [5], [0], [6, 7, 39], [6], range(FRAMES), [0, 38]):
            found = dict(video.colours(wanted))
            assert list(found) == list(wanted)
            assert all(np.array_equal(found[index], whole[index]) for index in wanted)


def kept_with(path: Path, **changes: Any) -> None:
    """Change the kept facts of a video."""
    key = OPENINGS.key(path, None, False)
    facts = OPENINGS.get(key)
    assert facts is not None
    OPENINGS.put(key, replace(facts, **changes))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_wrong_packets_are_read_again(tmp_path: Path, suffix: str) -> None:
    """For example if the tables of an MP4 contradict its packets."""
    path = write_video(tmp_path / f"v{suffix}", PICTURES, "libx264", "yuv420p", **H264)
    with Video(path) as video:
        whole = dict(video.colours(range(FRAMES)))
        right = video._source.timeline.packets  # type: ignore[union-attr]
    for wrong in ("sizes", "pts"):
        table = opening_facts(_facts(path).as_json()).packets  # a copy
        getattr(table, wrong)[25:] += 1
        kept_with(path, packets=table, is_read=False)
        with Video(path) as video:
            found = dict(video.colours([3, 30, 31]))
        assert all(np.array_equal(found[index], whole[index]) for index in (3, 30, 31))
        facts = _facts(path)
        assert facts.is_read
        assert facts.packets.pts.tolist() == right.pts.tolist()
        assert facts.packets.sizes.tolist() == right.sizes.tolist()


def _facts(path: Path) -> Any:
    KEPT.clear()
    facts = OPENINGS.get(OPENINGS.key(path, None, False))
    assert facts is not None
    return facts


def test_a_video_with_fewer_packets_than_its_index_is_an_error(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", PICTURES, "libx264", "yuv420p", **H264)
    other = write_video(tmp_path / "w.mp4", [*PICTURES, *PICTURES], "libx264", "yuv420p", **H264)
    for one in (path, other):
        with Video(one):
            pass
    kept_with(path, packets=_facts(other).packets, is_read=False)
    with Video(path) as video, pytest.raises(SourceError, match=r"v\.mp4: its packets are not those of its index, or"):
        dict(video.colours([50]))
    with Video(path) as video:  # the wrong facts are forgotten
        assert list(dict(video.colours([30, 50]))) == [30]


def test_facts_of_a_damaged_file_are_not_kept(tmp_path: Path, timelines: Path) -> None:
    """Reading it again may give more, if the disk or the network was at fault."""
    source = write_video(tmp_path / "source.mp4", PICTURES, "libvpx-vp9", "yuv420p", **VP9)
    path = tmp_path / "v.mp4"
    with av.open(str(source)) as old, av.open(str(path), "w", options={"movflags": "faststart"}) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    path.write_bytes(path.read_bytes()[:-900])  # the last packets are incomplete
    with Video(path) as video:
        assert 0 < len(list(video.pictures(range(FRAMES)))) < FRAMES
        assert isinstance(video._source, SeekableFrames)
    assert OPENINGS.get(OPENINGS.key(path, None, False)) is None
    assert SCANS.get(SCANS.key(path, None)) is None
    assert list(timelines.iterdir()) == []


def test_a_matte_is_decoded_once_for_all_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = film(FRAMES)
    path = write_video(tmp_path / "a.mp4", [np.dstack([one] * 3) for one in drawn.alphas], "libx264", "yuv420p")
    opened: list[Path] = []
    original = matte_faults.opened_frames
    monkeypatch.setattr(
        matte_faults, "opened_frames", lambda path, **options: opened.append(path) or original(path, **options)
    )
    for _ in range(2):
        assert video_fault(path) is None
        KEPT.clear()
        matte_faults._video_fault.cache_clear()  # as in another process
    assert opened == [path]
    dark = write_video(tmp_path / "dark.mp4", [np.zeros((48, 64, 3), np.uint8)] * 3, "libx264", "yuv420p")
    for _ in range(2):
        fault = video_fault(dark)
        assert fault is not None
        assert fault.code == "alpha-dark"
        matte_faults._video_fault.cache_clear()
    assert opened == [path, dark, dark]
