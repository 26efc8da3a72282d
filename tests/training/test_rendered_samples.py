"""The samples of a rank over a source without media: what is skipped, replaced, counted or raised."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import pytest
from conftest import require_torch

require_torch()

from dvm_hf.errors import MachineError, SourceError  # noqa: E402
from dvm_hf.training.epoch_order import clip_order  # noqa: E402
from dvm_hf.training.epoch_runs import EpochRuns  # noqa: E402
from dvm_hf.training.rendered_samples import PATIENCE, RenderedSamples  # noqa: E402
from dvm_hf.training.sample_assignment import ClipRanks, StartOffset  # noqa: E402
from dvm_hf.training.stream_state import Run  # noqa: E402


@dataclass
class Numbers:
    """A source whose pixels are epoch, clip and sample. lost: clips without samples. errors: by clip."""

    clips: int
    lost: tuple[int, ...] = ()
    errors: dict[int, Exception] = field(default_factory=dict)
    identity: dict[str, Any] = field(default_factory=dict)
    recipe: str = "dvm"

    def samples(self, epoch: int, clip: int, chosen: Sequence[int]) -> Iterator[dict[str, Any] | None]:
        if clip in self.errors:
            raise self.errors[clip]
        for number in () if clip in self.lost else chosen:
            yield {"frames": np.array([epoch, clip, number]), "motion": []}

    def name(self, epoch: int, clip: int) -> str:
        return f"clip_{clip}"

    def announce(self, epoch: int, clip: int) -> None:
        pass

    def release(self) -> None:
        """Nothing is kept."""


def made(
    source: Numbers, *, per_clip: int = 1, epochs: int | None = 1, on_error: str = "skip", **order: Any
) -> tuple[Iterator[tuple[int, int, dict[str, Any]]], EpochRuns]:
    samples = RenderedSamples(
        source=source,
        order=ClipRanks(source.clips, per_clip, shuffled=False, **order),
        epoch_order=partial(clip_order, clips=source.clips, seed=5, shuffle=False, samples_per_clip=per_clip),
        seed=5,
        units_per_turn=1,
        epochs=epochs,
        transform=None,
        on_error=on_error,
    )
    runs = EpochRuns()
    return samples.after(Run(0, StartOffset(0, 0), 0, 0, 0), runs), runs


def numbers(found: Iterator[tuple[int, int, dict[str, Any]]]) -> list[list[int]]:
    return [sample["frames"].tolist() for _, _, sample in found]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dvm_hf.machine_faults.PAUSES", (0.0, 0.0))


def test_samples_have_their_index_and_the_number_done_before_them() -> None:
    found, runs = made(Numbers(2), per_clip=3, epochs=2)
    expected = [(epoch, done, epoch, done - 1) for epoch in range(2) for done in range(1, 7)]
    assert [(epoch, done, one["epoch"], one["index"]) for epoch, done, one in found] == expected
    assert (runs.made, runs.skipped) == (12, 0)


def test_skipped_samples_count_as_done(caplog: pytest.LogCaptureFixture) -> None:
    found, runs = made(Numbers(3, lost=(1,)), per_clip=2)
    assert [(done, one["index"]) for _, done, one in found] == [(1, 0), (2, 1), (5, 4), (6, 5)]
    assert (runs.made, runs.skipped) == (4, 2)
    (record,) = caplog.records
    assert record.getMessage().startswith("clip_1: skipped 2 of its samples in epoch 0: the clip is shorter")


def test_the_reason_of_a_skip_is_the_error(caplog: pytest.LogCaptureFixture) -> None:
    found, _ = made(Numbers(2, errors={0: SourceError("f.mp4: is broken")}))
    assert numbers(found) == [[0, 1, 0]]
    assert caplog.records[0].getMessage() == "clip_0: skipped 1 of its samples in epoch 0: f.mp4: is broken"


@pytest.mark.parametrize("even", ["drop", "pad"])
def test_a_lost_sample_is_replaced_by_that_of_the_next_usable_clip(even: str) -> None:
    """Rank 1 of 2 has the clips 1, 3, 5; after the last clip comes the first."""
    found, runs = made(Numbers(6, lost=(3, 4, 5)), per_clip=2, rank=1, world_size=2, even=even)
    assert numbers(found) == [[0, 1, 0], [0, 1, 1], [0, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 1]]
    assert (runs.made, runs.skipped) == (6, 4)
    found, _ = made(Numbers(6, lost=(3,)), per_clip=2, rank=1, world_size=2, even=even)
    assert [(done, one["index"]) for _, done, one in found] == [(1, 2), (2, 3), (3, 8), (4, 9), (5, 10), (6, 11)]


@pytest.mark.parametrize("order", [{"even": "drop"}, {"world_size": 2}])
def test_nothing_is_replaced_for_one_rank_or_without_even_ranks(order: dict[str, Any]) -> None:
    found, _ = made(Numbers(4, lost=(2,)), **order)
    assert [0, 2, 0] not in numbers(found)
    found, runs = made(Numbers(4, lost=(2,)), **order)
    assert len(list(found)) == runs.made < 4 / order.get("world_size", 1)


def test_without_a_usable_clip_nothing_can_replace_a_sample() -> None:
    found, _ = made(Numbers(4, lost=(0, 1, 2, 3)), rank=1, world_size=2, even="drop")
    with pytest.raises(SourceError, match=r"rank 1: no clip of epoch 0 can replace a skipped sample of clip_1"):
        next(found)


@pytest.mark.parametrize(("on_error", "error"), [("raise", SourceError("broken")), ("skip", MachineError("disk"))])
def test_errors_are_raised_unless_the_file_is_at_fault_and_skipped(on_error: str, error: Exception) -> None:
    """A fault of the machine is no reason to train without a clip."""
    found, _ = made(Numbers(2, errors={0: error}), on_error=on_error)
    with pytest.raises(SourceError, match=str(error)):
        next(found)
    found, _ = made(Numbers(4, lost=(1,), errors={2: error}), on_error=on_error, rank=1, world_size=2, even="drop")
    with pytest.raises(SourceError, match=str(error)):  # of the clip that would replace a sample
        next(found)


def test_after_a_fault_of_the_machine_a_clip_resumes_at_its_next_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Numbers(2)
    samples, faults = source.samples, [MachineError("disk")]

    def failing_once(epoch: int, clip: int, chosen: Sequence[int]) -> Iterator[dict[str, Any] | None]:
        for done, row in enumerate(samples(epoch, clip, chosen)):
            if done == 2 and faults:
                raise faults.pop()
            yield row

    monkeypatch.setattr(source, "samples", failing_once)
    found, runs = made(source, per_clip=4)
    assert numbers(found) == [[0, clip, number] for clip in range(2) for number in range(4)]
    assert (runs.made, runs.skipped, faults) == (8, 0, [])


def test_an_endless_run_ends_after_many_samples_in_vain() -> None:
    assert PATIENCE == 100
    found, _ = made(Numbers(3, lost=(0, 1, 2)), epochs=None)  # 34 epochs of 3 samples
    with pytest.raises(SourceError, match=r"rank 0: none of the last 102 samples, up to epoch 33, could be rendered"):
        next(found)
    found, _ = made(Numbers(120, lost=tuple(range(120))), epochs=None)  # two complete epochs
    with pytest.raises(SourceError, match=r"none of the last 240 samples, up to epoch 1, "):
        next(found)
    found, _ = made(Numbers(120, lost=tuple(range(119))), epochs=None)  # one sample per epoch is enough
    assert [epoch for epoch, _, _ in islice(found, 5)] == [0, 1, 2, 3, 4]


def test_a_run_without_usable_clips_is_empty_if_it_ends() -> None:
    found, runs = made(Numbers(3, lost=(0, 1, 2)), epochs=50)
    assert list(found) == []
    assert runs.skipped == 150


def test_an_endless_run_of_a_rank_without_samples_ends_at_once() -> None:
    found, _ = made(Numbers(1), epochs=None, rank=1, world_size=2)
    with pytest.raises(SourceError, match=r"rank 1: none of the last 0 samples, up to epoch 0"):
        next(found)
