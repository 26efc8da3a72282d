"""Colour and alpha of a video from one decoding, however its frames are reached."""

import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from own_alpha import VP9, WITH_ALPHA, film, write_video

from dvm_hf.errors import SourceError
from dvm_hf.media.pixels import Layers
from dvm_hf.media.video import alpha_decoders
from dvm_hf.media.video.alpha_decoders import begins_alpha, no_alpha_error
from dvm_hf.media.video.containers import opened_container
from dvm_hf.media.video.seekable_frames import SeekableFrames
from dvm_hf.media.video.video_tags import VideoTags
from dvm_hf.media.video.videos import Video

FILMS = {name: write for name, write in WITH_ALPHA.items() if "frames" not in name}
FRAMES = 40


def layers(path: Path, wanted: Any) -> dict[int, Layers]:
    with Video(path, role="both") as video:
        return dict(video.layers(wanted))


@pytest.fixture(scope="module")
def vp9(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film with a keyframe in every tenth packet."""
    path = tmp_path_factory.mktemp("vp9") / "f.webm"
    return write_video(path, film(FRAMES).rgba, "libvpx-vp9", "yuva420p", **VP9, g="10")


@pytest.mark.parametrize("form", FILMS)
def test_layers_are_the_drawn_ones_in_any_selection(form: str, tmp_path: Path) -> None:
    drawing = film(FRAMES)
    path = FILMS[form](tmp_path, drawing)
    complete = layers(path, range(FRAMES))
    for index, (colour, alpha) in complete.items():
        assert np.abs(colour.astype(int) - drawing.colours[index])[alpha == 255].max() <= 14
        assert np.abs(alpha.astype(int) - drawing.alphas[index]).max() <= 14
    for wanted in ([0], [39], [17, 18, 31]):
        found = layers(path, wanted)
        assert list(found) == wanted
        assert all(np.array_equal(found[i][part], complete[i][part]) for i in wanted for part in (0, 1))


def test_a_selection_of_vp9_is_reached_by_a_seek(vp9: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    complete = layers(vp9, range(FRAMES))
    keys: list[int] = []
    original = SeekableFrames._seek
    monkeypatch.setattr(SeekableFrames, "_seek", lambda self, key: (keys.append(key), original(self, key))[1])
    found = layers(vp9, [35, 36])
    assert keys == [0, 30]
    assert all(np.array_equal(found[i][part], complete[i][part]) for i in (35, 36) for part in (0, 1))


def test_vp9_is_not_entered_where_only_the_colour_has_a_keyframe(
    vp9: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Encoders of colour and alpha choose their keyframes independently."""
    monkeypatch.setattr(
        "dvm_hf.media.video.packet_tables.begins_alpha", lambda packet: packet.pts == 0 and begins_alpha(packet)
    )
    keys: list[int] = []
    original = SeekableFrames._seek
    monkeypatch.setattr(SeekableFrames, "_seek", lambda self, key: (keys.append(key), original(self, key))[1])
    assert list(layers(vp9, [35])) == [35]
    assert keys == [0]


def test_keyframes_of_the_alpha_are_read_from_the_packets(vp9: Path) -> None:
    """The specification: frame_marker 10, profile 00, show_existing_frame, frame_type; 0 is a keyframe."""
    with opened_container(vp9) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        assert [begins_alpha(packet) for packet in packets] == [index % 10 == 0 for index in range(FRAMES)]
    plain = vp9.with_name("plain.webm")
    write_video(plain, film(3).colours, "libvpx-vp9", "yuv420p", **VP9)
    with opened_container(plain) as container:
        assert not any(begins_alpha(packet) for packet in container.demux(video=0) if packet.size)


@pytest.mark.parametrize(("codec", "decoder"), [("libvpx-vp9", "libvpx-vp9"), ("libvpx", "libvpx")])
def test_a_missing_decoder_is_named(codec: str, decoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "f.webm", film(3).rgba, codec, "yuva420p", **VP9)

    def missing(name: str, mode: str) -> Any:
        raise av.codec.codec.UnknownCodecError(name)

    monkeypatch.setattr(alpha_decoders, "decoder_context", missing)
    with pytest.raises(SourceError, match=rf"f\.webm: its alpha channel needs FFmpeg's decoder {decoder}, which"):
        Video(path, role="both")
    with Video(path) as video:  # the colour alone needs no such decoder
        assert len(list(video.colours(range(3)))) == 3


def test_a_file_that_declares_an_alpha_but_has_none_is_refused(vp9: Path, tmp_path: Path) -> None:
    """A WebM whose track has an alpha, but whose additions to the blocks are not those of an alpha (BlockAddID 1)."""
    data = vp9.read_bytes()
    assert data.count(b"\xee\x81\x01") >= FRAMES
    path = tmp_path / "tagged.webm"
    path.write_bytes(data.replace(b"\xee\x81\x01", b"\xee\x81\x05"))
    with pytest.raises(SourceError, match=r"webm: declares an alpha channel, but is decoded without it \(vp9\)"):
        Video(path, role="both")


def test_a_damaged_frame_is_dropped_with_both_layers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = FILMS["prores 4444"](tmp_path, film(12))
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][5]
        start, size = packet.pos, packet.size
    data = bytearray(path.read_bytes())
    data[start + 8 : start + size] = bytes(size - 8)
    path.write_bytes(bytes(data))
    with caplog.at_level(logging.WARNING):
        for wanted in (range(12), [5], [4, 5, 6]):
            assert list(layers(path, wanted)) == [index for index in wanted if index != 5]
    assert "frame 5" in caplog.text


def test_an_alpha_that_ends_early_is_refused(tmp_path: Path) -> None:
    """A film whose later frames have another pixel format, without an alpha."""
    path = tmp_path / "f.mov"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("png", rate=Fraction(25))
        stream.height, stream.width, stream.pix_fmt = 48, 64, "rgba"
        for pixels in film(2).rgba:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgba")))
        container.mux(stream.encode(None))
        encoder: Any = av.CodecContext.create("png", "w")
        encoder.height, encoder.width, encoder.pix_fmt, encoder.time_base = 48, 64, "rgb24", Fraction(1, 25)
        packets = encoder.encode(av.VideoFrame.from_ndarray(film(1).colours[0], format="rgb24")) + encoder.encode(None)
        for packet in packets:
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, 2, 2, Fraction(1, 25)
            container.mux(packet)
    with pytest.raises(SourceError, match="frame 2 has no alpha channel, but frame 0 has one"):
        layers(path, range(3))


def test_a_damaged_frame_of_ffv1_ends_both_layers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """FFV1 is read from its start, up to the first damaged frame; its packets have checksums."""
    path = FILMS["ffv1 bgra"](tmp_path, film(12))
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][5]
        middle = packet.pos + packet.size // 2
    data = bytearray(path.read_bytes())
    data[middle] ^= 255
    path.write_bytes(bytes(data))
    with caplog.at_level(logging.WARNING):
        assert list(layers(path, range(12))) == list(range(5))
        assert list(layers(path, [3, 8])) == [3]
    assert "frame 5" in caplog.text


def test_hevc_with_an_alpha_that_is_not_decoded_gets_a_command(tmp_path: Path) -> None:
    """FFmpeg decodes the first layer only. x265 must be built for alpha to encode such a file, so the tags are made."""
    tags = VideoTags("hevc", "yuv420p", 1, 1, 1, 1, True)
    text = str(no_alpha_error(tmp_path / "f.mov", tags))
    assert "declares an alpha channel, but is decoded without it (hevc)" in text
    assert "ffmpeg -i f.mov -vf alphaextract -c:v ffv1 a.mkv" in text
    assert "has no alpha channel" in str(no_alpha_error(tmp_path / "f.mov", tags._replace(has_hidden_alpha=False)))
