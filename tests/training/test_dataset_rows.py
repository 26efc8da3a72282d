"""The training stream over prepared data: a window of a row has the pixels that datasets decodes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import PIL.Image
import pytest
from conftest import require_torch

require_torch()

import torch  # noqa: E402  where it is there
from torch.utils.data import DataLoader  # noqa: E402

from dvm_hf import ConfigError, SourceError  # noqa: E402
from dvm_hf.dataset.features import features  # noqa: E402
from dvm_hf.torch import ClipStream, MattingTransform  # noqa: E402
from dvm_hf.training.dataset_rows import DatasetRows  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # fork

COLUMNS = ("frames", "alpha", "trimap", "foreground", "background")


@pytest.fixture(scope="module")
def built(training_sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Builds of the training sources, each built once: rows of five frames, the last of a clip shorter."""
    from datasets import load_dataset

    from dvm_hf.dataset.loading import load_arguments

    cache = tmp_path_factory.mktemp("cache")

    def build(**fields: Any) -> Any:
        fields = {"clip_length": 5, "remainder": "keep", "columns": COLUMNS} | fields
        arguments = load_arguments() | {"data_dir": str(training_sources), "cache_dir": str(cache)}
        return load_dataset(name="train", split="train", **arguments, **fields)

    return build


def pictures(row: dict[str, Any], column: str) -> np.ndarray:
    """(T, C, H, W) of a row, decoded by `datasets` and PIL."""
    frames = np.stack([np.asarray(picture) for picture in row[column]])
    return frames[:, None] if frames.ndim == 3 else frames.transpose(0, 3, 1, 2)


def test_complete_rows_match_datasets(built: Callable[..., Any]) -> None:
    dataset = built(encoding="lossless")
    samples = list(ClipStream.from_dataset(dataset, shuffle=False))
    assert len(samples) == len(dataset)
    for sample, row in zip(samples, dataset, strict=True):
        for column in COLUMNS:
            assert np.array_equal(sample[column].numpy(), pictures(row, column)), column
        for name in ("clip_id", "window", "start", "foreground_kind", "background_name", "seed", "height", "width"):
            assert sample[name] == row[name]
        assert np.array_equal(sample["motion"].numpy(), np.float32(row["motion"]))


def test_the_start_of_a_sample_counts_the_frames_of_the_clip(built: Callable[..., Any]) -> None:
    dataset = built(frame_step=2, encoding="lossless", kinds=("image",))
    rows = {(row["clip_id"], row["window"]): row for row in dataset}
    starts = set()
    for sample in ClipStream.from_dataset(dataset, clip_length=2, frame_step=2, shuffle=False):
        row = rows[sample["clip_id"], sample["window"]]
        (number,) = [k for k in range(4) if row["motion"][k : k + 2] == sample["motion"].tolist()]
        assert sample["start"] == row["start"] + 2 * number
        starts.add(number)
    assert len(starts) > 1


def test_jpeg_frames_are_rgb(built: Callable[..., Any]) -> None:
    """Two decoders can differ by a level or two; swapped channels differ by a hundred."""
    dataset = built()
    for sample, row in zip(ClipStream.from_dataset(dataset, shuffle=False), dataset, strict=True):
        difference = np.abs(np.int16(sample["frames"].numpy()) - np.int16(pictures(row, "frames")))
        assert difference.max() <= 4
        assert np.array_equal(sample["alpha"].numpy(), pictures(row, "alpha"))


def test_windows_and_crops_are_parts_of_their_rows(built: Callable[..., Any]) -> None:
    dataset = built(encoding="lossless")
    rows = {(row["clip_id"], row["window"]): row for row in dataset}
    stream = ClipStream.from_dataset(dataset, clip_length=1, context=2, crop_size=24, epochs=3)
    samples = list(stream)
    long_enough = [key for key, row in rows.items() if len(row["frames"]) >= 3]
    assert len(samples) == 3 * len(long_enough)
    assert stream.left_out == 3 * (len(rows) - len(long_enough))
    starts = set()
    for sample in samples:
        row = rows[sample["clip_id"], sample["window"]]
        offset = sample["start"] - row["start"]
        starts.add(offset)
        whole = {column: pictures(row, column)[offset : offset + 3] for column in COLUMNS}
        height, width = whole["alpha"].shape[2:]
        candidates = [
            (top, left)
            for top in range(height - 23)
            for left in range(width - 23)
            if np.array_equal(whole["frames"][..., top : top + 24, left : left + 24], sample["frames"].numpy())
        ]
        (top, left), *_ = candidates
        for column in COLUMNS:
            cut = whole[column][..., top : top + 24, left : left + 24]
            assert np.array_equal(sample[column].numpy(), cut), column
        assert (sample["trimap"][1] == 128).any()
        assert np.array_equal(sample["motion"].numpy(), np.float32(row["motion"][offset : offset + 3]))
    assert starts == {0, 1, 2}


@pytest.mark.parametrize("workers", [0, 2])
def test_order_epochs_ranks_and_resume_match_the_composed_stream(built: Callable[..., Any], workers: int) -> None:
    dataset = built(remainder="drop")  # skipped samples would shift the others

    def stream(**fields: Any) -> ClipStream:
        fields = {"clip_length": 2, "crop_size": 16, "epochs": 2, "transform": MattingTransform(flip=0.5)} | fields
        return ClipStream.from_dataset(dataset, **fields)

    def seen(samples: Any) -> list[tuple[int, int, bytes]]:
        return [(s["epoch"], s["index"], s["frames"].numpy().tobytes()) for s in samples]

    whole = seen(stream())
    ranks = [
        seen(DataLoader(stream(rank=rank, world_size=2), batch_size=None, num_workers=workers)) for rank in range(2)
    ]
    assert sorted(ranks[0] + ranks[1]) == sorted(whole)
    stopped = stream()
    samples = iter(stopped)
    assert seen([next(samples) for _ in range(20)]) == whole[:20]
    resumed = stream()
    resumed.load_state_dict(stopped.state_dict())
    assert seen(DataLoader(resumed, batch_size=None, num_workers=workers)) == whole[20:]
    with pytest.raises(ConfigError, match=r"^crop_size="):
        stream(crop_size=20).load_state_dict(stopped.state_dict())
    with pytest.raises(ConfigError, match=r"^dataset="):
        ClipStream.from_dataset(dataset.select(range(9)), clip_length=2, crop_size=16).load_state_dict(
            stream(transform=None, epochs=1).state_dict()
        )


def test_complete_rows_accept_clip_length_all(built: Callable[..., Any]) -> None:
    dataset = built()
    explicit, implicit = (list(ClipStream.from_dataset(dataset, **fields)) for fields in ({"clip_length": "all"}, {}))
    assert [sample["clip_id"] for sample in explicit] == [sample["clip_id"] for sample in implicit]
    assert {len(sample["frames"]) for sample in explicit} > {5}


def test_windows_crops_and_augmentation_differ_from_epoch_to_epoch_and_seed_to_seed(built: Callable[..., Any]) -> None:
    """24 rows of five frames: windows of two have four positions each."""
    dataset = built(remainder="drop", encoding="lossless")

    def of(seed: int, **fields: Any) -> tuple[dict[int, list[Any]], dict[int, list[Any]]]:
        stream = ClipStream.from_dataset(
            dataset, clip_length=2, crop_size=24, epochs=2, seed=seed, shuffle=False, **fields
        )
        samples = list(stream)
        return tuple(
            {epoch: [of_sample(s) for s in samples if s["epoch"] == epoch] for epoch in (0, 1)}
            for of_sample in (lambda s: s["start"], lambda s: s["frames"].numpy().tobytes())
        )

    starts, pixels = of(2019)
    other_starts, other_pixels = of(7)
    again = of(2019)
    assert again == (starts, pixels)
    for one, other in ((starts[0], starts[1]), (starts[0], other_starts[0]), (other_starts[0], other_starts[1])):
        assert sum(a != b for a, b in zip(one, other, strict=True)) > len(one) / 3
    assert pixels[0] != pixels[1]
    assert pixels[0] != other_pixels[0]

    def flips(seed: int) -> list[bool]:
        """Return which of the complete rows are flipped, in order."""
        plain = ClipStream.from_dataset(dataset, shuffle=False, seed=seed)
        flipped = ClipStream.from_dataset(dataset, shuffle=False, seed=seed, transform=MattingTransform(flip=0.5))
        return [not torch.equal(a["frames"], b["frames"]) for a, b in zip(plain, flipped, strict=True)]

    assert flips(1) != flips(2)
    assert flips(1) == flips(1)


def test_a_crop_is_centred_on_an_unknown_pixel_of_the_middle_frame(built: Callable[..., Any]) -> None:
    """A trimap whose unknown pixel moves by ten rows per frame."""
    dataset = built(remainder="drop", encoding="lossless", columns=("alpha", "trimap"))

    def marked(row: dict[str, Any]) -> dict[str, Any]:
        trimaps = []
        for frame, picture in enumerate(row["trimap"]):
            trimap = np.zeros_like(np.asarray(picture))
            trimap[14 + 10 * frame, 30] = 128
            trimaps.append(PIL.Image.fromarray(trimap))
        return {"trimap": trimaps}

    for clip_length, middle in ((3, 1), (4, 2), (5, 2)):
        stream = ClipStream.from_dataset(dataset.map(marked, keep_in_memory=True), clip_length=clip_length, crop_size=9)
        for sample in stream:
            assert sample["trimap"][middle, 0, 4, 4] == 128
            assert int((sample["trimap"] == 128).sum()) == 1


def test_a_state_over_other_pixels_is_refused(built: Callable[..., Any]) -> None:
    """The same clips and windows with another root seed or size."""
    state = ClipStream.from_dataset(built(remainder="drop")).state_dict()
    ClipStream.from_dataset(built(remainder="drop", encoding="lossless")).load_state_dict(state)
    for fields in ({"seed": 5, "backgrounds_per_foreground": 5}, {"crop_size": 40}):
        if "seed" in fields:  # all backgrounds, hence the same clips
            state = ClipStream.from_dataset(built(remainder="drop", backgrounds_per_foreground=5)).state_dict()
        with pytest.raises(ConfigError, match=r"^dataset="):
            ClipStream.from_dataset(built(remainder="drop", **fields)).load_state_dict(state)


def test_several_samples_of_a_row(built: Callable[..., Any]) -> None:
    dataset = built().filter(lambda row: len(row["motion"]) == 5, keep_in_memory=True)
    samples = list(ClipStream.from_dataset(dataset, clip_length=2, crop_size=16, samples_per_clip=4))
    for begin in range(0, len(samples), 4):
        row = samples[begin : begin + 4]
        assert len({(sample["clip_id"], sample["window"]) for sample in row}) == 1
        assert len({sample["start"] for sample in row}) == 4


def test_a_parquet_dataset_gives_the_same_samples(built: Callable[..., Any], tmp_path: Path) -> None:
    dataset = built()
    dataset.to_parquet(tmp_path / "train.parquet")
    again = datasets.load_dataset(
        "parquet", data_files=str(tmp_path / "train.parquet"), split="train", cache_dir=str(tmp_path / "cache")
    )
    fields: dict[str, Any] = {"clip_length": 2, "crop_size": 16, "columns": ("frames", "trimap")}
    here, there = (list(ClipStream.from_dataset(found, **fields)) for found in (dataset, again))
    assert set(here[0]) & set(COLUMNS) == {"frames", "trimap"}
    assert [s["clip_id"] for s in here] == [s["clip_id"] for s in there]
    assert all(torch.equal(a[column], b[column]) for a, b in zip(here, there, strict=True) for column in COLUMNS[:3:2])
    state = ClipStream.from_dataset(dataset, **fields).state_dict()
    ClipStream.from_dataset(again, **fields).load_state_dict(state)  # wherever the rows lie


def test_a_dataset_of_arrays(built: Callable[..., Any]) -> None:
    dataset = built(encoding="array", remainder="drop", crop_size=32, columns=("frames", "alpha", "trimap"))
    arrays = dataset.with_format("numpy")
    for sample, row in zip(ClipStream.from_dataset(dataset, shuffle=False), arrays, strict=True):
        assert sample["frames"].dtype == torch.uint8
        assert np.array_equal(sample["frames"].numpy(), np.moveaxis(row["frames"], -1, 1))
        assert np.array_equal(sample["alpha"][:, 0].numpy(), row["alpha"])


def test_an_invalid_picture_is_named_or_skipped(built: Callable[..., Any]) -> None:
    dataset = built().cast_column("frames", datasets.features.Sequence(datasets.Image(decode=False)))

    def spoiled(row: dict[str, Any], number: int) -> dict[str, Any]:
        bad = [{"bytes": b"nothing", "path": None}] * len(row["frames"])
        return {"frames": bad if number == 4 else row["frames"]}

    broken = dataset.map(spoiled, with_indices=True, keep_in_memory=True)
    with pytest.raises(SourceError, match=r"window \d: frames\[0\] \(7 bytes\) cannot be decoded as an image"):
        list(ClipStream.from_dataset(broken, shuffle=False))
    stream = ClipStream.from_dataset(broken, on_error="skip")
    assert len(list(stream)) == len(broken) - 1
    assert stream.left_out == 1


@pytest.mark.parametrize(
    ("change", "fields", "message"),
    [
        (lambda dataset: dataset.to_iterable_dataset(), {}, "IterableDataset: must be a datasets.Dataset"),
        (lambda dataset: dataset.remove_columns("motion"), {}, "has no column 'motion'"),
        (lambda dataset: dataset, {"columns": ("frame",)}, "the dataset has no 'frame'"),
        (
            lambda dataset: dataset.remove_columns(["trimap", "alpha"]),
            {"crop_size": 8},
            "needs the column trimap or alpha",
        ),
        (lambda dataset: dataset, {"clip_length": 0}, "clip_length=0"),
        (lambda dataset: dataset, {"crop_size": 0}, "crop_size=0"),
        (lambda dataset: dataset, {"on_error": "ignore"}, "on_error='ignore'"),
        (lambda dataset: dataset, {"columns": ()}, r"columns=\(\): a sample needs an image column"),
        (lambda dataset: dataset.remove_columns(list(COLUMNS)), {}, "columns=None: a sample needs an image column"),
        (lambda dataset: dataset, {"seed": "x"}, "seed='x': not allowed"),
        (lambda dataset: dataset, {"seed": -1}, "seed=-1: not allowed"),
        (lambda dataset: dataset, {"seed": 2**80}, "seed=.*: not allowed"),
        (lambda dataset: dataset, {"recipe": "mine"}, "recipe='mine': not allowed"),
        (lambda dataset: dataset, {"context": 2}, "context=2: a complete row has no frames before it"),
        (lambda dataset: dataset.remove_columns("height"), {}, "has no column 'height'"),
        (lambda dataset: with_trimap(dataset, "x"), {}, "dataset: trimap is string, but must be a list of images, an"),
        (
            lambda dataset: with_trimap(dataset, {"bytes": b"", "path": None}).cast_column("trimap", datasets.Image()),
            {"columns": ("alpha",), "crop_size": 8},
            "dataset: trimap is an image, but must be a list of images",
        ),
    ],
)
def test_a_dataset_that_cannot_be_streamed_is_named(
    built: Callable[..., Any], change: Callable[[Any], Any], fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        ClipStream.from_dataset(change(built()), **fields)


def with_trimap(dataset: datasets.Dataset, value: Any) -> datasets.Dataset:
    """The dataset with one value in each row of the column trimap."""
    return dataset.remove_columns("trimap").add_column("trimap", [value] * len(dataset))


@pytest.mark.parametrize("column", ["height", "start", "motion"])
def test_a_row_without_a_number_is_named(column: str) -> None:
    dataset = in_memory(np.zeros((2, 8, 8), np.uint8), rows=2).map(
        lambda row: {column: None if row["window"] else row[column]}, keep_in_memory=True
    )
    with pytest.raises(SourceError, match=rf"{column} is null"):
        [list(rows_over(dataset).samples(0, row, range(1))) for row in range(2)]


def test_a_crop_larger_than_a_row_is_named(built: Callable[..., Any]) -> None:
    with pytest.raises(SourceError, match="crop_size=500: the frames are"):
        next(iter(ClipStream.from_dataset(built(), crop_size=500)))


def in_memory(alphas: np.ndarray, rows: int = 1) -> datasets.Dataset:
    """Rows of one clip with these alphas (T, H, W), as a dataset."""
    frames, height, width = alphas.shape
    made = [
        {
            "clip_id": "image_cat_0",
            "window": window,
            "start": frames * window,
            "alpha": [PIL.Image.fromarray(alpha) for alpha in alphas],
            "foreground_kind": 0,
            "foreground_name": "cat",
            "background_name": "0",
            "height": height,
            "width": width,
            "seed": 5,
            "motion": [[float(frame), 0.0, 0.0, 1.0] for frame in range(frames)],
        }
        for window in range(rows)
    ]
    described = features(("alpha",), encoding="lossless", clip_length=frames, crop_size=None)
    return datasets.Dataset.from_list(made, features=described)


def rows_over(dataset: datasets.Dataset, **fields: Any) -> DatasetRows:
    given: dict[str, Any] = {"clip_length": 1, "context": 0, "crop_size": None, "columns": None, "seed": 5}
    return DatasetRows(dataset, **given | {"recipe": "dvm", "frame_step": 1, "samples_per_clip": 1} | fields)


def test_without_a_trimap_the_crop_is_around_a_translucent_pixel() -> None:
    alpha = np.zeros((1, 40, 60), np.uint8)
    alpha[:, :, 40:] = 255
    alpha[0, 17, 23] = 254
    for value in (1, 254):
        alpha[0, 17, 23] = value
        (sample,) = rows_over(in_memory(alpha), crop_size=9).samples(0, 0, range(1))
        assert np.array_equal(sample["alpha"][0, 0], alpha[0, 13:22, 19:28])


def test_the_crop_of_a_frame_without_unknown_pixels_is_its_centre() -> None:
    alpha = np.random.default_rng(0).integers(0, 2, (1, 20, 31), np.uint8) * 255
    (sample,) = rows_over(in_memory(alpha), crop_size=5).samples(0, 0, range(1))
    assert np.array_equal(sample["alpha"][0, 0], alpha[0, 8:13, 13:18])  # around row 10, column 15
    (sample,) = rows_over(in_memory(alpha), crop_size=20).samples(0, 0, range(1))  # as high as the frame
    assert np.array_equal(sample["alpha"][0, 0], alpha[0, :, 5:25])


def test_each_row_of_a_clip_has_its_own_windows() -> None:
    source = rows_over(in_memory(np.zeros((8, 4, 4), np.uint8), rows=12))
    found = [next(source.samples(0, row, range(1))) for row in range(12)]
    assert len({sample["start"] - 8 * row for row, sample in enumerate(found)}) > 2
    assert all(sample["motion"] == [[sample["start"] - 8 * row, 0, 0, 1]] for row, sample in enumerate(found))


def test_windows_are_repeated_with_other_crops_once_all_are_used() -> None:
    """Five samples of two windows: one twice and one three times."""
    alphas = np.random.default_rng(0).integers(1, 255, (3, 30, 30), np.uint8)
    source = rows_over(in_memory(alphas), clip_length=2, samples_per_clip=5, crop_size=3)
    samples = list(source.samples(0, 0, range(5)))
    starts = [sample["start"] for sample in samples]
    assert starts == sorted(starts)
    assert sorted(map(starts.count, {0, 1})) == [2, 3]
    assert len({sample["alpha"].tobytes() for sample in samples}) == 5
    assert [sample["start"] for sample in source.samples(0, 0, range(3, 5))] == starts[3:]


def test_images_stored_as_paths_are_read(tmp_path: Path) -> None:
    alpha = np.random.default_rng(0).integers(0, 256, (4, 6), np.uint8)
    PIL.Image.fromarray(alpha).save(tmp_path / "alpha.png")
    undecoded = in_memory(alpha[None]).cast_column("alpha", datasets.Sequence(datasets.Image(decode=False)))
    paths = [{"bytes": None, "path": str(tmp_path / "alpha.png")}]
    (sample,) = rows_over(undecoded.map(lambda row: {"alpha": paths}, keep_in_memory=True)).samples(0, 0, range(1))
    assert np.array_equal(sample["alpha"][0, 0], alpha)


def test_the_identity_contains_whatever_changes_the_samples_of_rows() -> None:
    alphas = np.zeros((6, 8, 8), np.uint8)
    dataset = in_memory(alphas, rows=3)
    whole = rows_over(dataset).identity
    assert rows_over(in_memory(alphas, rows=3)).identity == whole
    for fields in ({"clip_length": 2}, {"context": 1}, {"crop_size": 4}, {"frame_step": 2}):
        assert rows_over(dataset, **fields).identity != whole, fields  # type: ignore[arg-type]
    for other in (dataset.select([0, 2, 1]), dataset.select([0, 1]), in_memory(alphas[:, :7], rows=3)):
        assert rows_over(other).identity != whole
