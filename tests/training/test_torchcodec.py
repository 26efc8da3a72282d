"""Rows of videos read by `datasets` and torchcodec alone: exact mattes, and the colours that PyAV decodes."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import require_torch
from prepare_runs import answer
from row_videos import decoded, encoded, mattes, pictures, planes

require_torch("torchcodec")

from datasets import load_dataset  # noqa: E402  where torchcodec is there
from torchcodec.decoders import VideoDecoder  # noqa: E402

from dvm_hf.media.row_videos.encoding import encoder_frame  # noqa: E402

COLUMNS = ("frames", "alpha", "trimap")


@pytest.fixture(scope="module")
def prepared_videos(few_sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The split test of `few_sources` in one shard of videos. Tests must not change it."""
    out = tmp_path_factory.mktemp("videos") / "out"
    answer(few_sources, out, "--encoding", "video", "--config", "test", "--clip-length", "4", "--num-shards", "1")
    return out


@pytest.mark.parametrize("streaming", [False, True])
def test_datasets_decodes_the_rows(prepared_videos: Path, tmp_path: Path, streaming: bool) -> None:
    (shard,) = prepared_videos.glob("data/*.parquet")
    stored = pq.read_table(shard).to_pylist()
    cache = {} if streaming else {"cache_dir": str(tmp_path)}
    rows = list(load_dataset(str(prepared_videos), split="test", streaming=streaming, **cache))
    assert len(rows) == len(stored)
    for row, raw in zip(rows, stored, strict=True):
        for column in COLUMNS:
            video: Any = row[column]
            frames = decoded(raw[column]["bytes"])
            assert isinstance(video, VideoDecoder)
            assert len(video) == len(frames) == len(raw["motion"])
            assert video.metadata.average_fps == 25
            for found, frame in zip(video[:].numpy().transpose(0, 2, 3, 1), frames, strict=True):
                if column == "frames":
                    assert np.abs(found.astype(int) - frame.to_ndarray(format="rgb24")).max() <= 2
                else:
                    assert np.array_equal(found, np.dstack([planes(frame)[0]] * 3))


@pytest.mark.parametrize(("height", "width"), [(16, 16), (33, 70), (45, 251)])
def test_mattes_are_exact_and_colours_close(height: int, width: int) -> None:
    frames, matte = pictures(6, height, width), mattes(6, height, width)
    greys, colours = (VideoDecoder(encoded(one))[:].numpy().transpose(0, 2, 3, 1) for one in (matte, frames))
    for found, wanted in zip(greys, matte, strict=True):
        assert np.array_equal(found[:height, :width], np.dstack([wanted] * 3))
    for found, wanted in zip(colours, frames, strict=True):  # 44 dB in luma, as in every decoder
        luma = [planes(encoder_frame(pixels, "colour_h264"))[0].astype(float) for pixels in (found, wanted)]
        assert np.square(luma[0] - luma[1]).mean() < 255**2 / 10**4.4


def test_a_random_frame_is_the_one_of_the_sequence() -> None:
    matte = mattes(9, 20, 30)
    decoder = VideoDecoder(encoded(matte))
    for index in (5, 2, 8, 0):
        assert np.array_equal(decoder[index].numpy()[0], matte[index])


@pytest.mark.slow
def test_the_examples_of_the_card_run(prepared_videos: Path) -> None:
    text = (prepared_videos / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    code = "\n".join(blocks[:3]).replace("REPO", str(prepared_videos))
    script = f"import sys; sys.modules['dvm_hf'] = None\n{code}\nprint(*frames.shape, row['height'], row['width'])\n"
    script += "del stream, rows; import gc, time; gc.collect(); time.sleep(0.3)"  # Arrow's threads
    made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    count, channels, *shape, height, width = map(int, made.stdout.split()[-6:])
    assert (count, channels, shape) == (4, 3, [height, width])
