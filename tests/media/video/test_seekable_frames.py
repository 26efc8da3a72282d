"""Skipping packets and seeking change no pixel: against the same video read from its start with PyAV only."""

import itertools
import logging
import re
import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from scheduling import kept_scheduling

from dvm_hf.errors import SourceError
from dvm_hf.media import kept_facts
from dvm_hf.media.kept_facts import KEPT, TIMELINES
from dvm_hf.media.video import videos
from dvm_hf.media.video.containers import video_header
from dvm_hf.media.video.seekable_frames import BadSeek, SeekableFrames
from dvm_hf.media.video.video_writing import write_video
from dvm_hf.media.video.videos import Video

FRAMES = 60
WINDOWS: tuple[Sequence[int], ...] = (
    range(FRAMES),
    range(50, 54),
    range(20, 23),
    range(0, FRAMES, 3),
    range(7, FRAMES, 2),
    (5, 6, 30, 31, 55),
    (1,),
    (59,),
    range(12, 10_000),
)
WITH_THREADS = (WINDOWS[0], WINDOWS[1], WINDOWS[5])
X264 = [
    {"bf": str(bf), "x264-params": f"b-pyramid={pyramid}:open-gop={opened}:weightp={weightp}:ref={refs}:scenecut=0"}
    for bf, pyramid, opened, weightp, refs in (
        *((2, pyramid, opened, 0, 3) for pyramid, opened in itertools.product(("none", "strict", "normal"), (0, 1))),
        *((3, pyramid, opened, 2, 1) for pyramid, opened in itertools.product(("none", "strict", "normal"), (0, 1))),
        *((8, pyramid, opened, 2, 6) for pyramid, opened in itertools.product(("none", "normal"), (0, 1))),
    )
]
VIDEOS: dict[str, tuple[str, str, str, dict[str, str]]] = {  # codec, pixel format, suffix, options
    "no B-frames": ("libx264", "yuv420p", "mov", {"g": "10", "bf": "0"}),
    "one key frame": ("libx264", "yuv420p", "mp4", {"g": "250"}),
    "intra refresh": ("libx264", "yuv420p", "mp4", {"g": "12", "x264-params": "intra-refresh=1"}),
    "interlaced": ("libx264", "yuv420p", "mp4", {"g": "24", "bf": "3", "x264-params": "tff=1"}),
    "called interlaced": ("libx264", "yuv420p", "mp4", {"g": "24", "bf": "3", "x264-params": "fake-interlaced=1"}),
    "slices, delimiters, messages": (
        "libx264",
        "yuv420p",
        "mp4",
        {"g": "24", "x264-params": "slices=3:aud=1:pic-struct=1"},
    ),
    "10 bit": ("libx264", "yuv420p10le", "mp4", {"g": "12"}),
    "Matroska": ("libx264", "yuv420p", "mkv", {"g": "12"}),
    "Matroska, many key frames": ("libx264", "yuv420p", "mkv", {"g": "4", "bf": "1"}),
    "transport stream": ("libx264", "yuv420p", "ts", {"g": "12"}),
    "AVI": ("libx264", "yuv420p", "avi", {"g": "12", "bf": "2"}),
    "H.265, closed groups": ("libx265", "yuv420p", "mp4", {"x265-params": "keyint=12:open-gop=0:log-level=none"}),
    "H.265, open groups": ("libx265", "yuv420p", "mp4", {"x265-params": "keyint=12:open-gop=1:log-level=none"}),
    "AV1": ("libsvtav1", "yuv420p", "mp4", {"g": "12", "preset": "12"}),
    "MPEG-4, B-frames": ("mpeg4", "yuv420p", "mp4", {"g": "12", "bf": "2"}),
    "VP9": ("libvpx-vp9", "yuv420p", "webm", {"g": "12", "deadline": "realtime", "cpu-used": "8"}),
    "JPEGs": ("mjpeg", "yuvj420p", "mov", {}),
}
VIDEOS |= {f"x264, {one}": ("libx264", "yuv420p", "mp4", one | {"g": "16"}) for one in X264}


def written(
    path: Path, codec: str, pixel_format: str, options: dict[str, str], *, times: Sequence[int] = range(FRAMES)
) -> Path:
    """A video of drifting noise, so that every frame needs the previous ones."""
    rng = np.random.default_rng(1)
    wide = np.kron(rng.integers(0, 256, (18, 50, 3), np.uint8), np.ones((4, 4, 1), np.uint8))
    with kept_scheduling(), av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=Fraction(25), options=options)
        stream.width, stream.height, stream.pix_fmt = 96, 72, pixel_format
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(wide[:, number : number + 96]), format="rgb24")
            frame = frame.reformat(format=pixel_format)
            frame.pts = time
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def sequential(path: Path, *, most: int | None = None) -> list[np.ndarray]:
    """All frames, or the first ones, with PyAV only, from the start, converted like OpenCV's reader does."""
    with av.open(str(path)) as container:
        decoded = itertools.islice(container.decode(video=0), most)
        frames = [frame.to_ndarray(format="bgr24", interpolation="BICUBIC") for frame in decoded]
    return [frame[..., ::-1] for frame in frames]


OPENINGS = itertools.cycle(("nothing kept", "kept in the process", "kept on the disk"))


def read(path: Path, wanted: Iterable[int]) -> dict[int, np.ndarray]:
    """Read frames with and, in turn, without the facts of an earlier opening."""
    opening = next(OPENINGS)
    if opening != "kept in the process":
        KEPT.clear()
    with pytest.MonkeyPatch.context() as patch:
        if opening == "nothing kept":
            patch.setenv(TIMELINES.variable, "")
        with Video(path) as video:
            return dict(video.colours(wanted))


def sent_packets(path: Path, wanted: Iterable[int]) -> int | None:
    """Return the number of packets decoded for some frames, without those of opening; None: read sequentially."""
    sent = 0
    with Video(path) as video:
        source = video._source
        if not isinstance(source, SeekableFrames):
            return None
        decode = source._decoded

        def counted(packet: Any, number: int = -1) -> list[Any]:
            nonlocal sent
            sent += packet is not None
            return decode(packet, number)

        source._decoded = counted  # type: ignore[method-assign]
        list(video.colours(wanted))
    return sent


def same(got: dict[int, np.ndarray], expected: dict[int, np.ndarray]) -> bool:
    return got.keys() == expected.keys() and all(np.array_equal(got[index], expected[index]) for index in got)


@pytest.fixture(autouse=True)
def _facts_are_kept_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_facts, "RECENT", 0)


@pytest.fixture(params=[1, 0], ids=["one thread", "threads"])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(videos, "decoder_threads", lambda: request.param)
    return int(request.param)


@pytest.mark.slow
@pytest.mark.parametrize("name", VIDEOS)
def test_selected_frames_equal_those_of_the_complete_video(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec, pixel_format, suffix, options = VIDEOS[name]
    path = written(tmp_path / f"video.{suffix}", codec, pixel_format, options)
    whole = sequential(path)
    assert len(whole) == FRAMES
    for threads, windows in ((1, WINDOWS), (0, WITH_THREADS)):
        monkeypatch.setattr(videos, "decoder_threads", lambda threads=threads: threads)
        for wanted in windows:
            expected = {index: whole[index] for index in wanted if index < FRAMES}
            assert same(read(path, wanted), expected), (threads, wanted)


def test_frames_of_a_long_video_are_selected_by_number(tmp_path: Path, threads: int) -> None:
    path = tmp_path / "long.mp4"
    write_video(path, (np.full((32, 32), 20 + 7 * number % 200, np.uint8) for number in range(300)))
    whole, wanted = sequential(path), range(250, 300, 6)
    assert len(whole) == 300
    assert same(read(path, wanted), {index: whole[index] for index in wanted})


@pytest.mark.slow
def test_selected_frames_of_camera_videos_equal_those_of_the_complete_video(
    camera_media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in sorted(camera_media.glob("*.m[pk][4v]")):
        whole = sequential(path, most=FRAMES)
        for threads, windows in ((1, WINDOWS), (0, WITH_THREADS)):
            monkeypatch.setattr(videos, "decoder_threads", lambda threads=threads: threads)
            for wanted in windows:
                wanted = [index for index in wanted if index < len(whole)]
                expected = {index: whole[index] for index in wanted}
                assert same(read(path, wanted), expected), (path.name, threads, wanted)


SAVED = {  # of a window of 4 frames from frame 50 on: the most packets that may be decoded for it
    "no B-frames": 8,  # from frame 48 or 50 on
    "interlaced": 14,
    "10 bit": 8,
    "Matroska": 8,
    "H.265, closed groups": 9,
    "AV1": 8,
    "JPEGs": 6,
}


@pytest.mark.parametrize("name", SAVED)
def test_a_late_window_decodes_few_frames(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(videos, "decoder_threads", lambda: 1)
    codec, pixel_format, suffix, options = VIDEOS[name]
    sent = sent_packets(written(tmp_path / f"video.{suffix}", codec, pixel_format, options), range(50, 54))
    assert sent is not None
    assert sent <= SAVED[name]


@pytest.mark.parametrize(("bf", "most"), [("0", 54), ("1", 32), ("3", 20), ("8", 14)])
def test_unreferenced_frames_are_not_decoded(
    tmp_path: Path, bf: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(videos, "decoder_threads", lambda: 1)
    options = {"g": "250", "bf": bf, "x264-params": "b-adapt=0:b-pyramid=none:scenecut=0"}
    path = written(tmp_path / "video.mp4", "libx264", "yuv420p", options)
    sent = sent_packets(path, range(50, 54))
    assert sent is not None
    assert sent <= most
    gaps = sent_packets(path, (5, 50))
    assert gaps is not None
    assert gaps <= most


@pytest.mark.parametrize("opened", [0, 1])
def test_unreferenced_frames_of_h265_are_not_decoded(
    tmp_path: Path, opened: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A keyframe every 20 frames, and groups of four with two unreferenced B-frames each, without sublayers."""
    monkeypatch.setattr(videos, "decoder_threads", lambda: 1)
    parameters = f"keyint=20:min-keyint=20:bframes=3:b-adapt=0:scenecut=0:open-gop={opened}:log-level=none"
    path = written(tmp_path / "video.mp4", "libx265", "yuv420p", {"x265-params": parameters})
    whole = sequential(path)
    for wanted in ((16,), range(36, 40), (5, 33), (58,)):
        assert same(read(path, wanted), {index: whole[index] for index in wanted})
    sent = sent_packets(path, (16,))
    assert sent is not None
    assert sent <= 9


OPEN_GROUPS = "keyint=12:min-keyint=12:bframes=3:b-adapt=0:scenecut=0:open-gop=1:log-level=none"


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_h265_is_decoded_from_the_keyframe_before_even_in_open_groups(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keyframes 0, 12, 24 and so on, each but the first with three leading frames, as x265 writes by default."""
    monkeypatch.setattr(videos, "decoder_threads", lambda: 1)
    path = written(tmp_path / f"video.{suffix}", "libx265", "yuv420p", {"x265-params": OPEN_GROUPS})
    whole = sequential(path)
    for wanted in ((48,), range(48, 52), (37, 47), (36, 50), range(46, 50)):
        assert same(read(path, wanted), {index: whole[index] for index in wanted}), wanted
    with Video(path) as video:
        for wanted in ((49,), (45, 46), (20,), (48, 59)):  # one after another, also backwards, to leading frames
            assert same(dict(video.colours(wanted)), {index: whole[index] for index in wanted}), wanted
    for wanted, most in ((range(48, 52), 10), (range(44, 48), 16)):
        sent = sent_packets(path, wanted)
        assert sent is not None
        assert sent <= most, wanted


def test_damage_in_an_open_group_ends_at_the_next_keyframe_and_its_leading_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(videos, "decoder_threads", lambda: 1)
    source = written(tmp_path / "source.mp4", "libx265", "yuv420p", {"x265-params": OPEN_GROUPS})
    intact = read(source, range(FRAMES))
    with av.open(str(source)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    numbers = np.argsort(np.argsort([packet.pts for packet in packets])).tolist()
    data = bytearray(source.read_bytes())
    at = numbers.index(16)  # a reference frame of the group of keyframe 12
    data[packets[at].pos + 6 : packets[at].pos + packets[at].size] = b"\xff" * (packets[at].size - 6)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    lost = {*numbers[at : numbers.index(24)], 21, 22, 23}
    for wanted in (range(FRAMES), range(24, 30), range(20, 26), (22,), range(10, 60, 3)):
        left = {index: intact[index] for index in wanted if index not in lost}
        assert same(read(path, wanted), left), wanted


@pytest.mark.parametrize(("leading", "end", "start"), [(3, 36, 24), (7, 36, 24), (3, 48, 12)])
def test_frames_after_parts_were_joined_in_an_open_group_do_not_depend_on_the_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leading: int, end: int, start: int
) -> None:
    """Packets up to one keyframe, then those from another one, as concatenation without encoding writes them.

    The leading frames of the second part lack references, and its picture order is that of earlier frames.
    """
    monkeypatch.setattr(videos, "decoder_threads", lambda: 1)
    source, path = tmp_path / "source.mp4", tmp_path / "joined.mp4"
    written(source, "libx265", "yuv420p", {"x265-params": OPEN_GROUPS.replace("bframes=3", f"bframes={leading}")})
    with av.open(str(source)) as container, av.open(str(path), "w") as joined:
        stream = joined.add_stream_from_template(container.streams.video[0])
        packets = [packet for packet in container.demux(video=0) if packet.size]
        numbers = np.argsort(np.argsort([packet.pts for packet in packets])).tolist()
        tick = (packets[-1].dts - packets[0].dts) // (len(packets) - 1)
        kept, later = numbers.index(end), numbers.index(start)
        parts = [*packets[:kept], *packets[later:]]
        shown = [*numbers[:kept], *(number + end - start for number in numbers[later:])]
        for position, (packet, number) in enumerate(zip(parts, shown, strict=True)):
            copy = av.Packet(bytes(packet))
            copy.stream, copy.time_base, copy.is_keyframe = stream, packet.time_base, packet.is_keyframe
            copy.pts, copy.dts, copy.duration = number * tick, (position - 4) * tick, tick
            joined.mux(copy)
    whole = sequential(source)
    count = FRAMES + end - start
    lost = range(end - 2 * leading, end)  # at most: the leading frames, and frames that are decoded, but not yet shown
    for wanted in (
        range(count),
        range(end, count),
        (end + 2,),
        (end + 2, end + 3, count - 9),
        range(end - 16, end + 9),
    ):
        got = {index: frame for index, frame in read(path, wanted).items() if index not in lost}
        expected = {
            index: whole[index if index < end else index - end + start] for index in wanted if index not in lost
        }
        assert same(got, expected), wanted


def test_irregular_timestamps_are_supported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    times = [number + number // 7 + number // 20 for number in range(FRAMES)]
    path = written(tmp_path / "video.mp4", "libx264", "yuv420p", {"g": "12", "bf": "3"}, times=times)
    whole = sequential(path)
    for wanted in WINDOWS:
        assert same(read(path, wanted), {index: whole[index] for index in wanted if index < FRAMES}), wanted


def copied(path: Path, source: Path, *, start: int = 0, stop: int = 10_000, **options: str) -> Path:
    """Remux the packets of a video; an edit list hides those before `start`."""
    with av.open(str(source)) as old, av.open(str(path), "w", options=options) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(packet for packet in old.demux(video=0) if packet.size):
            if number < stop:
                shift = start * packet.duration
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, stream
                new.mux(packet)
    return path


@pytest.mark.parametrize("start", [0, 3, 17])
def test_frames_hidden_by_an_edit_list_are_not_counted(tmp_path: Path, start: int, threads: int) -> None:
    source = written(tmp_path / "source.mp4", "libx264", "yuv420p", {"g": "12", "bf": "2"})
    path = copied(tmp_path / "cut.mp4", source, start=start)
    whole = sequential(path)
    assert FRAMES - start - 3 <= len(whole) <= FRAMES
    with Video(path) as video:
        assert video.frame_count == len(whole) == video_header(path).frame_count
    for wanted in WINDOWS:
        assert same(read(path, wanted), {index: whole[index] for index in wanted if index < len(whole)}), wanted


def test_a_video_larger_than_its_header_declares_uses_no_more_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The size in the header of an MP4 is used only until the decoder reports another one."""
    path = tmp_path / "large.mp4"
    write_video(path, [np.zeros((1088, 2560, 3), np.uint8)] * 2)
    data = bytearray(path.read_bytes())
    sizes = data.index(b"avc1", data.index(b"stsd")) + 28  # of the sample description: width, height
    assert bytes(data[sizes : sizes + 4]) == struct.pack(">HH", 2560, 1088)
    data[sizes : sizes + 4] = struct.pack(">HH", 64, 64)
    path.write_bytes(data)
    monkeypatch.setattr("dvm_hf.media.video.containers.MAX_BYTES", 10_000_000)
    with pytest.raises(SourceError, match="the maximum is 10,000,000"):
        Video(path)


def test_a_fragmented_file_is_read_like_any_other(tmp_path: Path, threads: int) -> None:
    source = written(tmp_path / "source.mp4", "libx264", "yuv420p", {"g": "12", "bf": "2"})
    path = copied(tmp_path / "fragmented.mp4", source, movflags="frag_keyframe+empty_moov+default_base_moof")
    whole = sequential(path)
    for wanted in WINDOWS:
        assert same(read(path, wanted), {index: whole[index] for index in wanted if index < FRAMES}), wanted


def declaring_less(path: Path) -> Path:
    """A Matroska file whose H.264 header declares one reordered frame instead of two.

    The header ends with max_num_reorder_frames and max_dec_frame_buffering, 2 and 4, as ue(v): 011 00101, then the stop
    bit (H.264, annex E.1.1). 1 is 010.
    """
    options = {"g": "24", "bf": "3", "x264-params": "b-pyramid=normal:b-adapt=0:scenecut=0"}
    written(path, "libx264", "yuv420p", options)
    with av.open(str(path)) as container:
        extradata = bytes(container.streams.video[0].codec_context.extradata)
    parameters = extradata[8 : 8 + int.from_bytes(extradata[6:8], "big")]
    bits = bin(int.from_bytes(parameters, "big"))[2:]
    end = bits.rindex("1")
    assert bits[end - 8 : end] == "011" + "00101"
    changed = int(bits[: end - 8] + "010" + bits[end - 5 :], 2).to_bytes(len(parameters), "big")
    path.write_bytes(path.read_bytes().replace(parameters, changed))
    return path


def declaring_no_reordering(path: Path) -> Path:
    """A video whose H.264 header declares no number of reordered frames, so a decoder learns it from wrong frames.

    The header ends with bitstream_restriction_flag, which is 1, and seven values (H.264, annex E.1.1), then a stop bit.
    """
    written(path, "libx264", "yuv420p", {"g": "24", "bf": "3", "x264-params": "b-pyramid=normal:b-adapt=0:scenecut=0"})
    with av.open(str(path)) as container:
        extradata = bytes(container.streams.video[0].codec_context.extradata)
    parameters = extradata[8 : 8 + int.from_bytes(extradata[6:8], "big")]
    bits = bin(int.from_bytes(parameters, "big"))[2:]
    declared = re.search(r"1(111)(0001\d{3}){2}011001011(0*)$", bits)
    assert declared
    changed = int((bits[: declared.start()] + "01").ljust(len(bits), "0"), 2).to_bytes(len(parameters), "big")
    path.write_bytes(path.read_bytes().replace(parameters, changed))
    return path


def test_a_learned_reordering_is_kept_for_later_openings(tmp_path: Path, threads: int) -> None:
    """Also after a seek. A decoder without it shows frames in another order at first: one is dropped, and the video is
    decoded again from its start. A Matroska file does not declare the reordering either."""
    path = declaring_no_reordering(tmp_path / "video.mkv")
    whole = sequential(path)
    assert len(whole) == FRAMES
    for wanted, most in ((range(1, 6), 9), (range(26, 30), 9), (range(50, 54), 9), ((5, 6, 30, 31, 55), 36)):
        KEPT.clear()
        for _ in range(2):
            assert (sent_packets(path, wanted) or 0) in range(1, most + 1), wanted
            with Video(path) as video:
                assert same(dict(video.colours(wanted)), {index: whole[index] for index in wanted})


def test_too_little_declared_reordering_does_not_change_windows(tmp_path: Path, threads: int) -> None:
    """Such a decoder drops frames, different ones if packets are skipped: the video ends before the first of them."""
    path = declaring_less(tmp_path / "video.mkv")
    with av.open(str(path)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    shown = next(number for number, time in enumerate(times) if round(time * 25) != number)
    assert 0 < shown < len(times) < FRAMES
    expected = dict(enumerate(sequential(path)[:shown]))
    for wanted in WINDOWS:
        assert same(read(path, wanted), {index: expected[index] for index in wanted if index < shown}), wanted


@pytest.mark.slow
def test_frames_after_a_cut_are_not_confused_with_earlier_ones(tmp_path: Path, threads: int) -> None:
    """If the last packets are missing, frames displayed before the remaining ones can be missing too."""
    source = written(tmp_path / "source.mp4", "libx264", "yuv420p", {"g": "250", "bf": "3"})
    source = copied(tmp_path / "fast.mp4", source, movflags="faststart")
    whole = sequential(source)
    with av.open(str(source)) as container:
        ends = [packet.pos for packet in container.demux(video=0) if packet.size]
    for kept in range(20, 29):
        path = tmp_path / f"cut{kept}.mp4"
        path.write_bytes(source.read_bytes()[: ends[kept]])
        got = read(path, range(FRAMES))
        assert kept - 4 <= len(got) <= kept
        assert same(got, {index: whole[index] for index in range(len(got))})
        for wanted in WINDOWS:
            assert same(read(path, wanted), {index: got[index] for index in wanted if index in got}), (kept, wanted)


def damaged(path: Path, source: Path, number: int, rng: np.random.Generator) -> Path:
    """A copy with some or all bytes of one packet overwritten with zeros or noise."""
    with av.open(str(source)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    begin, size = packets[number].pos, packets[number].size
    length = int(rng.choice([min(6, size), size // 2, size]))
    offset = int(rng.choice([0, 4, size - length])) % size
    length = min(length, size - offset)
    data = bytearray(source.read_bytes())
    data[begin + offset : begin + offset + length] = bytes(length) if rng.random() < 0.4 else rng.bytes(length)
    path.write_bytes(data)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    "options",
    [
        {"g": "16", "bf": "3"},
        {"g": "16", "bf": "3", "x264-params": "open-gop=1:scenecut=0"},
        {"g": "250", "bf": "8", "x264-params": "slices=2"},
        {"g": "12", "bf": "0"},
    ],
    ids=str,
)
def test_frames_that_survive_damage_do_not_depend_on_the_request(
    tmp_path: Path, options: dict[str, str], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one thread: with several, FFmpeg does not always detect the same damage."""
    monkeypatch.setattr(videos, "decoder_threads", lambda: 1)
    logging.getLogger("libav").setLevel(logging.CRITICAL)
    source = written(tmp_path / "source.mp4", "libx264", "yuv420p", options)
    rng = np.random.default_rng(seed)
    shortened = 0
    for number in rng.choice(np.arange(1, FRAMES), 6, replace=False):
        path = damaged(tmp_path / f"damaged{number}.mp4", source, int(number), rng)
        whole = read(path, range(FRAMES))
        shortened += len(whole) < FRAMES
        for wanted in WINDOWS:
            assert same(read(path, wanted), {i: whole[i] for i in wanted if i in whole}), (number, wanted)
    assert shortened


def test_a_damaged_unreferenced_frame_is_the_only_one_dropped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = {"g": "250", "bf": "3", "x264-params": "b-adapt=0:b-pyramid=none:scenecut=0"}
    source = written(tmp_path / "source.mp4", "libx264", "yuv420p", options)
    intact = read(source, range(FRAMES))
    with av.open(str(source)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        first = min(packet.pts for packet in packets)
    data = bytearray(source.read_bytes())
    start, size = packets[7].pos, packets[7].size  # I P b b b P b b: shown as the 7th, needed by none
    data[start + 5 : start + size] = b"\xff" * (size - 5)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    number = round((packets[7].pts - first) / packets[7].duration)
    got = read(path, range(FRAMES))
    assert same(got, {index: intact[index] for index in range(FRAMES) if index != number})
    assert f"{path}: frame {number} " in caplog.text
    caplog.clear()
    assert same(read(path, range(30, 34)), {index: intact[index] for index in range(30, 34)})
    assert not caplog.records


def test_damage_of_a_reference_frame_extends_to_the_next_keyframe(tmp_path: Path) -> None:
    source = written(tmp_path / "source.mp4", "libx264", "yuv420p", {"g": "20", "bf": "0", "x264-params": "scenecut=0"})
    intact = read(source, range(FRAMES))
    with av.open(str(source)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][25]
    data = bytearray(source.read_bytes())
    data[packet.pos + 5 : packet.pos + packet.size] = b"\xff" * (packet.size - 5)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    for wanted in (range(FRAMES), range(23, 44), range(30, 34), range(50, 54)):
        left = [index for index in wanted if index not in range(25, 40)]
        assert same(read(path, wanted), {index: intact[index] for index in left}), wanted


def test_a_video_whose_first_frame_is_damaged_is_refused(tmp_path: Path) -> None:
    source = written(tmp_path / "source.mp4", "libx264", "yuv420p", {"g": "12"})
    with av.open(str(source)) as container:
        packet = next(container.demux(video=0))
    data = bytearray(source.read_bytes())
    data[packet.pos + 4 : packet.pos + packet.size] = bytes(packet.size - 4)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    with pytest.raises(SourceError, match="no frame of the video can be decoded"):
        Video(path)


def test_a_bad_seek_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "video.mp4", "libx264", "yuv420p", {"g": "12", "bf": "0", "x264-params": "scenecut=0"})
    whole = sequential(path)
    seek = SeekableFrames._seek
    for led_to in (0, 12, 36, 99):

        def astray(video: SeekableFrames, key: int, led_to: int = led_to) -> None:
            seek(video, key)
            if key and led_to < FRAMES:
                video.container.seek(int(video.timeline.packets.pts[led_to]), stream=video.stream)
            elif key:
                raise BadSeek

        monkeypatch.setattr(SeekableFrames, "_seek", astray)
        assert same(read(path, range(50, 54)), {index: whole[index] for index in range(50, 54)}), led_to
