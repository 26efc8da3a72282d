"""The look-alikes are decodable, by Pillow and PyAV alone."""

from pathlib import Path

import av
import numpy as np
import pytest
from look_alikes import FRAMES, LOOK_ALIKES, SIZE, draw
from PIL import Image

from dvm_hf.sources.records import SPLITS

PICTURES, VIDEOS = (".png", ".jpg"), (".mp4", ".mkv", ".mov", ".webm")


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_every_file_of_a_look_alike_can_be_decoded(name: str, tmp_path: Path) -> None:
    expected = draw(name, tmp_path)
    named = expected.foregrounds or expected.backgrounds
    assert set(named) == set(SPLITS)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    for path in files:
        if path.suffix in PICTURES:
            with Image.open(path) as picture:
                assert np.asarray(picture).shape[:2] == SIZE
        elif path.suffix in VIDEOS:
            with av.open(str(path)) as container:
                assert len(list(container.decode(video=0))) == FRAMES
    assert {path.suffix for path in files} & {*PICTURES, *VIDEOS}
