"""A stream over a sources file: shares and repeats in every epoch, resume in the middle of one, the pixels of rows."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from conftest import TreeWriter, require_torch
from joined_sets import pixel_hashes, sample_as_row
from look_alikes import save, scenery

require_torch()

from torch.utils.data import DataLoader  # noqa: E402  where it is there

from dvm_hf import ConfigError  # noqa: E402
from dvm_hf.dataset.columns import IMAGE_COLUMNS  # noqa: E402
from dvm_hf.torch import ClipStream  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),  # fork, Python 3.12
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),  # more workers than cores
]

FIELDS: dict[str, Any] = {"clip_length": 2, "backgrounds_per_foreground": 4, "max_image_frames": 4}
CLIPS = 2 * 4 + 4 * 2  # of two foregrounds, and of one that is repeated twice
SHARES = {"many": 0.75, "few": 0.25}
MIXED = """\
train:
  foregrounds:
    - {path: a/DVM, name: a}
    - {path: b/DVM, name: b, repeat: 2}
  backgrounds:
    - {path: many, share: 0.75}
    - {path: few, share: 0.25}
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A still and a video in one folder, a still in another; eight and four stills as backgrounds."""
    root = tmp_path_factory.mktemp("sets")
    TreeWriter(root / "a/DVM").still("disc", value=90)
    TreeWriter(root / "a/DVM").moving("0000", frames=5)
    TreeWriter(root / "b/DVM").still("disc", value=190)
    for name, count in {"many": 8, "few": 4}.items():
        for number in range(count):
            save(root / name / f"{number}.png", scenery(number + len(name)))
    (root / "mixed.yaml").write_text(MIXED)
    return root / "mixed.yaml"


def stream_over(file: Path, **fields: Any) -> ClipStream:
    return ClipStream("train", data_dir=str(file), **FIELDS | fields)


def seen(samples: Iterable[dict[str, Any]]) -> list[tuple[int, int, str, bytes]]:
    """Return what identifies a sample: epoch, index, clip, pixels."""
    return [(int(s["epoch"]), int(s["index"]), s["clip_id"], s["frames"].numpy().tobytes()) for s in samples]


def entries(samples: Iterable[dict[str, Any]], column: str) -> list[str]:
    return [sample[column].split(".")[0] for sample in samples]


def test_every_epoch_has_the_shares_and_repeats_of_the_file(file: Path) -> None:
    samples = list(stream_over(file, epochs=4, columns=("alpha",)))
    pairs = []
    for epoch in range(4):
        of_epoch = [sample for sample in samples if sample["epoch"] == epoch]
        assert len(of_epoch) == CLIPS
        assert Counter(entries(of_epoch, "background_name")) == {name: CLIPS * share for name, share in SHARES.items()}
        assert Counter(sample["foreground_name"] for sample in of_epoch) == {"a.disc": 4, "a.0000": 4, "b.disc": 8}
        pairs.append({(sample["foreground_name"], sample["background_name"]) for sample in of_epoch})
        assert len(pairs[-1]) == CLIPS  # the backgrounds of a foreground are different
    assert all(pairs[epoch] != pairs[0] for epoch in range(1, 4))


def test_unshuffled_clips_have_the_shares_after_any_number_of_clips(file: Path) -> None:
    samples = list(stream_over(file, epochs=3, shuffle=False, columns=("alpha",)))
    for epoch in range(3):
        names = entries((sample for sample in samples if sample["epoch"] == epoch), "background_name")
        for count in range(1, CLIPS + 1):
            for name, share in SHARES.items():
                assert abs(names[:count].count(name) - count * share) < 1


@pytest.mark.parametrize("workers", [0, 2])
def test_the_first_epoch_has_the_pixels_of_the_streamed_dataset(
    file: Path, load: Callable[..., Any], workers: int
) -> None:
    fields = FIELDS | {"columns": IMAGE_COLUMNS, "crop_size": 16}
    rows = load("train", data_dir=str(file), split="train", streaming=True, encoding="lossless", clip_step=1, **fields)
    expected = pixel_hashes(rows)
    stream = stream_over(file, columns=IMAGE_COLUMNS, crop_size=16)
    samples = list(map(sample_as_row, DataLoader(stream, batch_size=None, num_workers=workers)))
    found = pixel_hashes(samples)
    assert {clip for clip, _ in found} == {clip for clip, _ in expected}
    assert len(samples) == len(found) == CLIPS
    assert found.items() <= expected.items()


@pytest.mark.parametrize("fields", [{}, {"rank": 1, "world_size": 2, "samples_per_clip": 2}])
def test_a_stream_resumes_at_every_position(file: Path, fields: dict[str, Any]) -> None:
    fields = {"epochs": 2, "crop_size": 16, "even_ranks": None} | fields
    whole = seen(stream_over(file, **fields))
    stopped = stream_over(file, **fields)
    samples = iter(stopped)
    for place in range(len(whole)):
        resumed = stream_over(file, **fields)
        resumed.load_state_dict(json.loads(json.dumps(stopped.state_dict())))
        assert seen(islice(resumed, 2)) == whole[place : place + 2]
        next(samples)
    assert list(samples) == []


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("begun", [5, CLIPS + 3])
def test_a_loader_with_workers_resumes_in_the_middle_of_an_epoch(file: Path, workers: int, begun: int) -> None:
    whole = seen(stream_over(file, epochs=2, crop_size=16))
    stopped = stream_over(file, epochs=2, crop_size=16)
    samples = iter(stopped)
    assert seen(islice(samples, begun)) == whole[:begun]
    resumed = stream_over(file, epochs=2, crop_size=16)
    resumed.load_state_dict(stopped.state_dict())
    assert seen(DataLoader(resumed, batch_size=None, num_workers=workers)) == whole[begun:]


def test_two_ranks_have_the_samples_of_one(file: Path) -> None:
    whole = seen(stream_over(file, epochs=2, crop_size=16))
    ranks = [seen(stream_over(file, epochs=2, crop_size=16, rank=rank, world_size=2)) for rank in range(2)]
    assert sorted(ranks[0] + ranks[1]) == sorted(whole)
    assert len(ranks[0]) == len(ranks[1]) == CLIPS


@pytest.mark.parametrize("change", [("repeat: 2", "repeat: 3"), ("share: 0.75", "share: 0.5"), ("name: b", "name: c")])
def test_a_state_of_another_file_is_refused(file: Path, change: tuple[str, str]) -> None:
    state = stream_over(file).state_dict()
    other = file.with_name("other.yaml")
    other.write_text(MIXED.replace(*change).replace("0.25", "0.5" if "0.5" in change[1] else "0.25"))
    with pytest.raises(ConfigError, match="the state was saved with sources_file="):
        stream_over(other).load_state_dict(state)
    other.write_text(f"# copied\n{MIXED}")
    stream_over(other).load_state_dict(state)
