"""The videos of rows in a real Chromium, which shows them like the Hub's viewer: the colours that PyAV decodes."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
from row_videos import decoded, encoded, mattes

SIZE = 96, 160  # height, width
PIXELS = """
const video = document.querySelector("video"), done = arguments[arguments.length - 1];
const draw = () => {
    const copy = new OffscreenCanvas(video.videoWidth, video.videoHeight).getContext("2d");
    copy.drawImage(video, 0, 0);
    done([copy.canvas.width, copy.canvas.height, Array.from(copy.getImageData(0, 0, 160, 96).data)]);
};
const seek = () => { video.onseeked = draw; video.currentTime = 0.1; };  // 25 frames/s: frame 2
video.onerror = () => done(video.error.message);
if (video.readyState >= 2) seek(); else video.onloadeddata = seek;
"""


def shown(chromium: Any, folder: Path, data: bytes) -> np.ndarray:
    """Return frame 2 of a video, RGB (H, W, 3), as Chromium draws it."""
    source = f"data:video/mp4;base64,{base64.b64encode(data).decode()}"
    page = folder / "video.html"
    page.write_text(f'<video muted preload="auto" src="{source}"></video>', encoding="utf-8")
    chromium.get(page.as_uri())
    answer = chromium.execute_async_script(PIXELS)
    assert isinstance(answer, list), answer
    width, height, values = answer
    return np.array(values, np.uint8).reshape(height, width, 4)[..., :3]


def test_colours_are_those_of_the_decoder(chromium: Any, tmp_path: Path) -> None:
    patches = np.random.default_rng(0).integers(0, 256, (6, 10, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    data = encoded([patches] * 5)
    found = shown(chromium, tmp_path, data).astype(int)
    assert np.abs(found - decoded(data)[2].to_ndarray(format="rgb24")).max() <= 3
    assert np.abs(found - patches)[8::16, 8::16].max() <= 6  # the middle of each patch, as it was encoded


def test_mattes_are_exact(chromium: Any, tmp_path: Path) -> None:
    frames = mattes(5, *SIZE)
    found = shown(chromium, tmp_path, encoded(frames))
    assert np.array_equal(found, np.dstack([frames[2]] * 3))
