"""State dicts worked by hand, and those that do not fit."""

from typing import Any

import pytest

from dvm_hf.errors import ConfigError
from dvm_hf.training.sample_assignment import StartOffset
from dvm_hf.training.stream_state import Run, run_of, state_of

IDENTITY = {"name": "train", "seed": 5}


def state(**changed: Any) -> dict[str, Any]:
    """The state of worker 1 of 3, 4 samples into its share of epoch 7 in a run that began in epoch 6."""
    return {
        "version": 1,
        "first_epoch": 6,
        "origin": [6, 2],
        "worker": 1,
        "num_workers": 3,
        "epoch": 7,
        "position": 4,
        "config": dict(IDENTITY),
    } | changed


def test_a_worker_saves_its_own_position() -> None:
    run = Run(6, StartOffset(6, 2), worker=1, workers=3, epoch=7, position=4)
    assert state_of(run, IDENTITY) == state()
    assert run_of(state(), IDENTITY, worker=1, workers=3) == run


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(("epoch", "origin"), [(6, [6, 2 + 4]), (7, [7, 4])])
def test_a_single_process_saves_the_position_of_its_rank(workers: int, epoch: int, origin: list[int]) -> None:
    """The start offset counts in its own epoch only; any number of workers can resume from the state."""
    saved = state_of(Run(6, StartOffset(6, 2), worker=0, workers=workers, epoch=epoch, position=4), IDENTITY)
    assert saved == state(origin=origin, worker=0, num_workers=1, epoch=epoch, position=0)
    for others in (0, 1, 3):
        found = run_of(saved, IDENTITY, worker=max(others - 1, 0), workers=others)
        assert found == Run(6, StartOffset(*origin), max(others - 1, 0), others, epoch)


@pytest.mark.parametrize(("worker", "workers"), [(0, 3), (1, 2), (0, 0), (0, 1)])
def test_a_worker_resumes_its_own_state_only(worker: int, workers: int) -> None:
    with pytest.raises(ConfigError, match=rf"num_workers={workers}: the state was saved by worker 1 of 3"):
        run_of(state(), IDENTITY, worker=worker, workers=workers)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"name": "train", "seed": 6}, "seed=5: the state was saved with seed=6"),
        ({"name": "train"}, "seed=5: the state was saved with seed=None"),
        ({**IDENTITY, "context": 2}, "context=None: the state was saved with context=2"),  # of another kind of stream
    ],
)
def test_every_field_of_either_config_must_match(config: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=f"^{text}"):
        run_of(state(config=config), IDENTITY, worker=1, workers=3)


def test_a_state_without_a_later_field_has_its_default() -> None:
    """Earlier releases save neither light nor shutter."""
    for fields in ({"light": "none"}, {"light": "none", "shutter": 0.0}):
        assert run_of(state(), {**IDENTITY, **fields}, worker=1, workers=3).position == state()["position"]
    with pytest.raises(ConfigError, match=r"^shutter=0\.5: the state was saved with shutter=0\.0"):
        run_of(state(), {**IDENTITY, "light": "none", "shutter": 0.5}, worker=1, workers=3)


@pytest.mark.parametrize(
    "changed",
    [
        {"origin": [6, -1]},
        {"origin": [6, 2, 0]},
        {"origin": 6},
        {"origin": [6, "2"]},
        {"position": True},
        {"worker": -1},
        {"num_workers": 3.0},
        {"first_epoch": None},
        {"config": [["name", "train"]]},
    ],
)
def test_values_that_no_stream_saves_are_damage(changed: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="state: is damaged"):
        run_of(state(**changed), IDENTITY, worker=1, workers=3)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, True),
        ({"position": 1}, False),
        ({"epoch": 4}, False),
        ({"origin": StartOffset(3, 1)}, False),
        ({"origin": StartOffset(4, 0), "epoch": 4}, False),
    ],
)
def test_a_run_is_at_its_beginning_until_a_sample_is_done(fields: dict[str, Any], expected: bool) -> None:
    run = Run(**{"first_epoch": 3, "origin": StartOffset(3, 0), "worker": 0, "workers": 0, "epoch": 3} | fields)
    assert run.is_at_its_beginning is expected
