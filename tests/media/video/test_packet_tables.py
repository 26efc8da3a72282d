"""The packets that an MP4 lists are those that FFmpeg reads from it."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numbered_films import edited
from scheduling import kept_scheduling

from dvm_hf.media.formats.keyframes import KEY
from dvm_hf.media.video.containers import opened_container, video_stream
from dvm_hf.media.video.packet_tables import FoundPackets, listed_kind, listed_packets, packet_kind, read_packets

pytestmark = pytest.mark.usefixtures("timelines")

FRAMES = 40
UNEVEN = [number + number // 7 + number // 20 for number in range(FRAMES)]
# codec, pixel format, suffix, options of the encoder, of the muxer, times
FILES: dict[str, tuple[str, str, str, dict[str, str], dict[str, str], Any]] = {
    "no B-frames": ("libx264", "yuv420p", "mov", {"g": "10", "bf": "0"}, {}, None),
    "B-frames": ("libx264", "yuv420p", "mp4", {"g": "16", "bf": "3"}, {}, None),
    "no edit list": ("libx264", "yuv420p", "mp4", {"g": "16", "bf": "3"}, {"use_editlist": "0"}, None),
    "negative offsets": ("libx264", "yuv420p", "mp4", {"bf": "3"}, {"movflags": "negative_cts_offsets"}, None),
    "index first": ("libx264", "yuv420p", "mp4", {"bf": "3"}, {"movflags": "faststart"}, None),
    "open groups": ("libx264", "yuv420p", "mp4", {"g": "8", "bf": "2", "x264-params": "open-gop=1"}, {}, None),
    "variable rate": ("libx264", "yuv420p", "mp4", {"g": "8", "bf": "2"}, {}, UNEVEN),
    "starts late": ("libx264", "yuv420p", "mp4", {"bf": "2"}, {}, [number + 9 for number in range(FRAMES)]),
    "10 bit": ("libx264", "yuv420p10le", "mp4", {"g": "12"}, {}, None),
    "H.265": ("libx265", "yuv420p", "mp4", {"x265-params": "keyint=12:log-level=none"}, {}, None),
    "AV1": ("libsvtav1", "yuv420p", "mp4", {"g": "12", "preset": "12"}, {}, None),
    "ProRes": ("prores_ks", "yuv422p10le", "mov", {}, {}, None),
    "JPEGs": ("mjpeg", "yuvj420p", "mov", {}, {}, None),
}
UNLISTED = {  # files whose packets must be read
    "fragments": ("libx264", "mp4", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    "Matroska": ("libx264", "mkv", {}),
    "VP9": ("libvpx-vp9", "mp4", {}),
    "MPEG-4": ("mpeg4", "mp4", {}),
}


def written(
    path: Path, codec: str, layout: str, options: dict[str, str], muxing: dict[str, str], times: Any = None
) -> Path:
    rng = np.random.default_rng(1)
    wide = np.kron(rng.integers(0, 256, (18, 40, 3), np.uint8), np.ones((4, 4, 1), np.uint8))
    with kept_scheduling(), av.open(str(path), "w", options=muxing) as container:
        stream: Any = container.add_stream(codec, rate=Fraction(25), options=options)
        stream.width, stream.height, stream.pix_fmt = 96, 72, layout
        for number, time in enumerate(range(FRAMES) if times is None else times):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(wide[:, number : number + 96]), format="rgb24")
            frame = frame.reformat(format=layout)
            frame.pts = time
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def listed(path: Path, limit: int | None = None) -> FoundPackets | None:
    with opened_container(path, is_probed=False) as container:
        return listed_packets(path, video_stream(path, container), limit=limit)


def packets(path: Path) -> list[tuple[int, int | None, int, bool]]:
    """pts, dts, size and keyframe flag of each packet, by PyAV only."""
    with av.open(str(path)) as container:
        return [(p.pts, p.dts, p.size, p.is_keyframe) for p in container.demux(video=0) if p.size]


@pytest.mark.parametrize("name", FILES)
def test_listed_packets_are_those_that_are_read(tmp_path: Path, name: str) -> None:
    codec, layout, suffix, options, muxing, times = FILES[name]
    path = written(tmp_path / f"video.{suffix}", codec, layout, options, muxing, times)
    expected = packets(path)
    assert len(expected) == FRAMES
    for limit, count, is_cut in ((None, FRAMES, False), (7, 7, True), (FRAMES, FRAMES, True), (99, FRAMES, False)):
        found = listed(path, limit)
        assert found is not None
        assert found.table is not None
        assert (len(found.table), found.is_cut, found.has_ended_well) == (count, is_cut, True)
        table = found.table.based_on(*expected[0][:2])
        assert table.pts.tolist() == [pts for pts, *_ in expected[:count]]
        assert table.sizes.tolist() == [size for *_, size, _ in expected[:count]]
        assert table.last_dts == expected[count - 1][1]
        keys = [bool(kind & KEY) for kind in table.kinds]
        if codec != "libsvtav1":  # its parser finds keyframes that the container does not flag
            assert keys == [is_key for *_, is_key in expected[:count]]
        assert all(is_key for (*_, is_key), flagged in zip(expected, keys, strict=False) if flagged)


@pytest.mark.parametrize("name", FILES)
def test_the_kind_of_a_listed_frame_is_that_of_its_packet(tmp_path: Path, name: str) -> None:
    codec, layout, suffix, options, muxing, times = FILES[name]
    path = written(tmp_path / f"video.{suffix}", codec, layout, options, muxing, times)
    with opened_container(path, is_probed=False) as container:
        stream = video_stream(path, container)
        table = read_packets(path, container.demux(stream), stream.codec_context, limit=None).table
        found = listed_packets(path, stream, limit=None)
        assert found is not None
        assert found.table is not None
        assert table is not None
        if codec in ("libx264", "libx265"):
            container.seek(0)
            for position, packet in enumerate(packet for packet in container.demux(stream) if packet.size):
                assert listed_kind(path, stream, position) == packet_kind(packet, stream.codec_context)
        else:
            assert found.table.kinds == table.kinds


@pytest.mark.parametrize("name", UNLISTED)
def test_packets_of_other_files_are_not_listed(tmp_path: Path, name: str) -> None:
    codec, suffix, muxing = UNLISTED[name]
    options = {"deadline": "realtime", "cpu-used": "8"} if "vpx" in codec else {"g": "12"}
    assert listed(written(tmp_path / f"video.{suffix}", codec, "yuv420p", options, muxing)) is None


@pytest.mark.parametrize(("edits", "is_listed"), [([(0, 40)], True), ([(5, 30)], False), ([(0, 9), (12, 9)], False)])
def test_packets_of_hidden_or_joined_parts_are_not_listed(
    tmp_path: Path, edits: list[tuple[int, int]], is_listed: bool
) -> None:
    path = written(tmp_path / "video.mp4", "libx264", "yuv420p", {"g": "12", "bf": "0"}, {})
    assert (listed(edited(path, edits)) is not None) is is_listed


def test_a_file_that_is_too_short_ends_before_its_first_missing_sample(tmp_path: Path) -> None:
    source = written(tmp_path / "video.mp4", "libx264", "yuv420p", {"bf": "2"}, {"movflags": "faststart"})
    with av.open(str(source)) as container:
        ends = [packet.pos + packet.size for packet in container.demux(video=0) if packet.size]
    whole = packets(source)
    for count, length in ((20, ends[19]), (20, ends[19] + 1), (19, ends[19] - 1), (39, ends[39] - 1)):
        path = tmp_path / "short.mp4"
        path.write_bytes(source.read_bytes()[:length])
        found = listed(path)
        assert found is not None
        assert found.table is not None
        assert len(found.table) == count
        assert found.table.based_on(*whole[0][:2]).last_dts == whole[count - 1][1]
