"""Rates and time bases are Fractions for any type that PyAV returns: Fraction or None in 18, AVRational in 19."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from dvm_hf.media.video.containers import exact, video_header


class Unset:
    """Like PyAV 19's AVRational(0, 0) and AVRational(1, 0): falsy, with a denominator that a Fraction cannot have."""

    def __init__(self, numerator: int) -> None:
        self.numerator, self.denominator = numerator, 0

    def __bool__(self) -> bool:
        return False


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "libx264"), (".mkv", "libx264"), (".avi", "mpeg4")])
@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(25), Fraction(60)])
def test_rates_of_a_header_are_fractions(suffix: str, codec: str, rate: Fraction, tmp_path: Path) -> None:
    path = tmp_path / f"film{suffix}"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(24):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    header = video_header(path)
    assert (type(header.rate), type(header.seconds)) == (Fraction, float)
    assert float(header.rate) == pytest.approx(float(rate), rel=1e-3)
    assert header.seconds == pytest.approx(24 / float(rate), rel=0.05)


@pytest.mark.parametrize("unset", [None, Fraction(0), Unset(0), Unset(1)])
def test_an_unset_rate_is_zero(unset: Any) -> None:
    assert exact(unset) == 0
    assert type(exact(unset)) is Fraction


def test_a_rational_of_pyav_keeps_its_value():
    rational = pytest.importorskip("av.rational", reason="PyAV 18 has Fractions").AVRational
    assert exact(rational(30000, 1001)) == Fraction(30000, 1001)
    assert (exact(rational(0, 0)), exact(rational(1, 0))) == (0, 0)
