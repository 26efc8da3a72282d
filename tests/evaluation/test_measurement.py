"""Measured clips: what is cached, what resumes, and how many frames are held."""

import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from predicted_mattes import changed, stored_layers, write_pictures

from dvm_hf.dataset.config import DVMConfig
from dvm_hf.dataset.row_sources import row_source
from dvm_hf.errors import SourceError
from dvm_hf.evaluation import measurement
from dvm_hf.evaluation.clip_flows import FlowChoice
from dvm_hf.evaluation.measurement import measured
from dvm_hf.evaluation.pairing import Allowances, ClipPair, paired
from dvm_hf.evaluation.predicted_clips import STRICT, Tolerance
from dvm_hf.evaluation.predictions import predictions
from dvm_hf.evaluation.references import Layers, rendered_clips, stored_clips
from dvm_hf.media.pixels import Pixels, Size
from dvm_hf.metrics import ClipSums, evaluate


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DVM_EVALUATION_CACHE", str(tmp_path / "evaluated"))
    return tmp_path / "evaluated"


@pytest.fixture
def predicted(prepared_once: Path, tmp_path: Path) -> Path:
    truth = stored_layers(prepared_once, "alpha")
    return write_pictures(tmp_path / "p", changed(truth, lambda alpha: np.roll(alpha, 1, axis=1)))


def pairs_of(predicted: Path, reference: Path, **allowed: bool) -> tuple[ClipPair, ...]:
    clips = stored_clips(row_source(str(reference), fields={}), config=None, split=None)
    return paired(predictions(str(predicted)), clips, Allowances(**allowed), progress=clips).clips


def run(pairs: Sequence[ClipPair], *, convention: str = "default", flow: str = "auto") -> dict[str, ClipSums]:
    return measured(pairs, convention=convention, flow=FlowChoice(flow), on_progress=lambda frames: None)


class Counter:
    """Counts the clips that are measured, and not found in the cache."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        real = measurement.evaluate_clips

        def counted(clips: Iterator[measurement.Clip], **options: object) -> object:
            return real((self.names.append(clip.name) or clip for clip in clips), **options)  # type: ignore[arg-type]

        monkeypatch.setattr(measurement, "evaluate_clips", counted)

    def taken(self) -> list[str]:
        names, self.names = self.names, []
        return names


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    return Counter(monkeypatch)


@pytest.mark.slow
def test_results_are_cached_until_something_changes(predicted: Path, prepared_once: Path, counter: Counter) -> None:
    pairs = pairs_of(predicted, prepared_once)
    names = [pair.name for pair in pairs]
    first = run(pairs)
    assert counter.taken() == names
    assert run(pairs_of(predicted, prepared_once)) == first
    assert counter.taken() == []
    run(pairs, flow="none")
    assert counter.taken() == names
    run(pairs, convention="rvm-lr")
    assert counter.taken() == names
    run([replace(pair, tolerance=Tolerance(resizes=True)) for pair in pairs])
    assert counter.taken() == names
    changed_file = predicted / names[0] / "00003.png"
    changed_file.write_bytes((predicted / names[0] / "00002.png").read_bytes())
    second = run(pairs_of(predicted, prepared_once))
    assert counter.taken() == names[:1]
    assert second[names[0]] != first[names[0]]


def test_a_changed_reference_is_measured_again(predicted: Path, few_sources: Path, counter: Counter) -> None:
    taken = []
    for seed in (2019, 2019, 5):
        clips = rendered_clips(DVMConfig(name="test", data_dir=str(few_sources), remainder="keep", seed=seed))
        run(paired(predictions(str(predicted)), clips, Allowances(), progress=clips).clips)
        taken.append(len(counter.taken()))
    assert taken == [4, 0, 4]


def test_an_interrupted_run_resumes_after_the_clips_that_are_finished(
    predicted: Path, prepared_once: Path, counter: Counter
) -> None:
    pairs = pairs_of(predicted, prepared_once)
    damaged = predicted / pairs[2].name / "00001.png"
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-30])
    with pytest.raises(SourceError, match=r"00001\.png"):
        run(pairs)
    damaged.write_bytes(content)
    counter.taken()
    assert len(run(pairs)) == len(pairs)
    assert counter.taken() == [pair.name for pair in pairs[2:]]


def test_a_damaged_result_is_measured_again(
    predicted: Path, prepared_once: Path, cache: Path, counter: Counter, caplog: pytest.LogCaptureFixture
) -> None:
    pairs = pairs_of(predicted, prepared_once)
    first = run(pairs)
    counter.taken()
    file = next(cache.iterdir())
    file.write_bytes(file.read_bytes()[:-5])
    assert run(pairs) == first
    assert len(counter.taken()) == 1
    assert "is damaged; clips are measured again" in caplog.text


def test_frames_next_to_a_missing_one_are_no_pair(predicted: Path, prepared_once: Path) -> None:
    pair = next(pair for pair in pairs_of(predicted, prepared_once) if pair.name.startswith("video"))
    shifted = {
        index: np.roll(alpha, 1 + index, axis=1)
        for index, alpha in stored_layers(prepared_once, "alpha")[pair.name].items()
    }
    write_pictures(predicted, {pair.name: shifted})
    (predicted / pair.name / "00002.png").unlink()
    short = next(one for one in pairs_of(predicted, prepared_once, missing=True) if one.name == pair.name)
    assert short.runs == ((0, 1), (3, 4))
    found = run([short], flow="none")[pair.name]
    layers = {column: stored_layers(prepared_once, column)[pair.name] for column in ("alpha", "trimap")}
    parts = [
        evaluate(
            *(np.stack([mattes[index] for index in indices]) for mattes in (shifted, layers["alpha"])),
            trimap=np.stack([layers["trimap"][index] for index in indices]),
            flow="none",
        )
        for indices in short.runs
    ]
    assert found.frames == 4
    for name in ("mad", "dtssd", "messddt"):
        expected = np.mean([part["unknown"][name] for part in parts])
        assert found.metrics()["unknown"][name] == pytest.approx(expected)


SIZE = Size(240, 320)


@dataclass(frozen=True)
class Drawn:
    """A clip of noise, as a reference and as its prediction."""

    count: int
    size: Size = SIZE
    name: str = "drawn"
    place: str = "drawn"
    is_image: bool = False
    columns: frozenset[str] = frozenset({"alpha"})

    @property
    def motion(self) -> dict[int, Sequence[float]]:
        return {}

    @property
    def indices(self) -> tuple[int, ...]:
        return tuple(range(self.count))

    @property
    def runs(self) -> tuple[tuple[int, ...], ...]:
        return (self.indices,)

    def frames(self, wanted: Sequence[int], columns: Sequence[str]) -> Iterator[Layers]:
        return ({"alpha": pixels} for pixels in self.mattes(wanted, wanted, STRICT))

    def mattes(self, wanted: Sequence[int], positions: Sequence[int], tolerance: Tolerance) -> Iterator[Pixels]:
        return (np.full(self.size, index % 7 * 30, np.uint8) for index in wanted)

    def digest(self, columns: Sequence[str] = ()) -> str:
        return f"{self.count}"


def test_memory_does_not_grow_with_the_number_of_frames() -> None:
    peaks = []
    for count in (4, 6, 30):
        drawn = Drawn(count)
        tracemalloc.start()
        run([ClipPair(drawn, drawn, drawn.runs, STRICT)], flow="none")  # type: ignore[arg-type]
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < peaks[1] + SIZE.height * SIZE.width  # less than one more matte
