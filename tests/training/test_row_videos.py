"""The training stream over rows of videos: the windows and crops of the same rows as images, decoded by PyAV."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import require_torch
from row_videos import encoded, planes

require_torch()

from torch.utils.data import DataLoader  # noqa: E402  where it is there

from dvm_hf import SourceError  # noqa: E402
from dvm_hf.media.row_videos.encoding import encoder_frame  # noqa: E402
from dvm_hf.torch import ClipStream, MattingTransform  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # fork

COLUMNS = ("frames", "alpha", "trimap", "foreground", "background")
VARIANTS = [
    {},
    {"clip_length": 2, "context": 1},
    {"clip_length": 2, "crop_size": 21, "samples_per_clip": 3},
    {"clip_length": 1, "crop_size": 16, "samples_per_clip": 9, "columns": ("frames", "alpha")},
    {"clip_length": 3, "crop_size": 30, "transform": MattingTransform(flip=0.5)},
]


@pytest.fixture(scope="module")
def built(training_sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """The training sources in an encoding, each built once: rows of five frames, the last of a clip shorter."""
    from datasets import load_dataset

    from dvm_hf.dataset.loading import load_arguments

    cache = str(tmp_path_factory.mktemp("cache"))

    def build(encoding: str) -> Any:
        fields = {"clip_length": 5, "remainder": "keep", "columns": COLUMNS, "encoding": encoding}
        return load_dataset(
            name="train", split="train", data_dir=str(training_sources), cache_dir=cache, **load_arguments(), **fields
        )

    return build


def assert_close(found: Any, exact: Any) -> None:
    """Assert 40 dB in luma and chroma; a crop may begin in the middle of four pixels that share their chroma."""
    for one, two in zip(found.numpy().transpose(0, 2, 3, 1), exact.numpy().transpose(0, 2, 3, 1), strict=True):
        one, two = (np.ascontiguousarray(pixels[: len(one) // 2 * 2]) for pixels in (one, two))
        luma = [planes(encoder_frame(pixels, "colour_h264"))[0].astype(float) for pixels in (one, two)]
        assert np.square(luma[0] - luma[1]).mean() < 255**2 / 10**4.0


@pytest.mark.parametrize("options", VARIANTS)
def test_samples_are_those_of_lossless_rows(built: Callable[[str], Any], options: dict[str, Any]) -> None:
    videos, exact = (
        list(ClipStream.from_dataset(built(encoding), **options, epochs=1)) for encoding in ("video", "lossless")
    )
    assert len(videos) == len(exact) > 0
    for one, two in zip(videos, exact, strict=True):
        assert one.keys() == two.keys()
        for name, value in two.items():
            if name in ("frames", "foreground", "background"):
                assert one[name].shape == value.shape
                assert_close(one[name], value)
            elif name in ("alpha", "trimap", "motion"):
                assert np.array_equal(one[name].numpy(), value.numpy()), name
            else:
                assert one[name] == value


def test_workers_give_the_same_samples(built: Callable[[str], Any]) -> None:
    def seen(samples: Any) -> list[tuple[int, int, bytes]]:
        return sorted((s["epoch"], s["index"], s["frames"].numpy().tobytes()) for s in samples)

    def stream() -> ClipStream:
        return ClipStream.from_dataset(built("video"), clip_length=2, crop_size=16, epochs=2)

    assert seen(DataLoader(stream(), batch_size=None, num_workers=2)) == seen(stream())


def test_a_damaged_video_names_its_row(built: Callable[[str], Any]) -> None:
    from datasets import Dataset, Video

    dataset = built("video")
    stored = dataset
    for column in COLUMNS:
        stored = stored.cast_column(column, Video(decode=False))
    rows = stored.to_list()
    for video, text in (
        ({"bytes": rows[0]["alpha"]["bytes"][:900], "path": "alpha.mp4"}, r"alpha \(900 bytes\): cannot be read as a"),
        (
            {"bytes": encoded([np.zeros((8, 8), np.uint8)] * 5), "path": "alpha.mp4"},
            r"alpha: has frames of 8 x 8 px, but",
        ),
    ):
        damaged = Dataset.from_list([rows[0] | {"alpha": video}], features=dataset.features)
        name = rf"{rows[0]['clip_id']}, window {rows[0]['window']}: {text}"
        with pytest.raises(SourceError, match=name):
            list(ClipStream.from_dataset(damaged))
