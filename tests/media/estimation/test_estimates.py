"""Estimated colours: which method, what is put back, and the cache."""

import errno
import logging
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dvm_hf.media.estimation import box_fusion, estimates
from dvm_hf.media.estimation.estimate_cache import ESTIMATES
from dvm_hf.media.estimation.estimates import estimated, estimation_method, method_key
from dvm_hf.media.pixels import Pixels
from dvm_hf.worker_processes import lean_environment


def mixed(seed: int = 0, size: tuple[int, int] = (24, 31)) -> tuple[Pixels, Pixels]:
    """A picture of random colours, and an alpha with opaque, soft and transparent pixels."""
    rng = np.random.default_rng(seed)
    alpha = np.clip(rng.integers(-100, 356, size), 0, 255).astype(np.uint8)
    return rng.integers(0, 256, (*size, 3), np.uint8), alpha


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(ESTIMATES.variable, str(tmp_path / "estimates"))
    monkeypatch.setattr(estimates, "is_installed", lambda: False)
    estimates._default_cache.cache_clear()
    return tmp_path / "estimates"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each estimation."""
    made: list[int] = []
    fused = estimates.fused_foreground
    monkeypatch.setattr(estimates, "fused_foreground", lambda *given: made.append(1) or fused(*given))
    return made


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_opaque_pixels_are_those_of_the_picture_and_soft_ones_are_not():
    colour, alpha = mixed()
    result = estimated(colour, alpha)
    assert np.array_equal(result[alpha == 255], colour[alpha == 255])
    assert not np.array_equal(result[alpha < 128], colour[alpha < 128])
    assert result.dtype == np.uint8


@pytest.mark.parametrize("level", [0, 255])
def test_without_soft_pixels_the_picture_is_returned_as_a_copy(level: int, folder: Path):
    colour, alpha = mixed()[0], np.full((24, 31), level, np.uint8)
    result = estimated(colour, alpha)
    assert np.array_equal(result, colour)
    assert not np.shares_memory(result, colour)
    assert not folder.exists()


def test_values_are_the_same_from_the_cache_and_without_it(
    folder: Path, calls: list[int], monkeypatch: pytest.MonkeyPatch
):
    first, second = (estimated(*mixed()) for _ in range(2))
    assert calls == [1]
    assert np.array_equal(np.asarray(Image.open(files(folder)[0])), first)  # PNG readers ignore the digest
    monkeypatch.setenv(ESTIMATES.variable, "")
    third = estimated(*mixed())
    assert calls == [1, 1]
    assert np.array_equal(first, second)
    assert np.array_equal(first, third)
    assert len(files(folder)) == 1


def test_another_picture_alpha_shape_or_method_is_another_entry(folder: Path, monkeypatch: pytest.MonkeyPatch):
    colour, alpha = mixed()
    other = alpha.copy()
    other[3, 4] ^= 1
    for given in (
        (colour, alpha),
        (colour[::-1], alpha),
        (colour, other),
        (colour.reshape(31, 24, 3), alpha.reshape(31, 24)),
    ):
        estimated(*given)
    monkeypatch.setattr(estimates, "EDITION", 99)
    estimated(colour, alpha)
    assert len(files(folder)) == 5
    assert "edition 99" in method_key()


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-40], lambda data: b"", lambda data: data[:70] + bytes([data[70] ^ 1]) + data[71:]]
)
def test_a_damaged_file_is_replaced(damage, folder: Path, calls: list[int], caplog: pytest.LogCaptureFixture):
    expected = estimated(*mixed())
    path = files(folder)[0]
    valid = path.read_bytes()
    path.write_bytes(damage(valid))
    assert np.array_equal(estimated(*mixed()), expected)
    assert calls == [1, 1]
    assert path.read_bytes() == valid
    assert "is damaged" in caplog.text


def test_a_full_disk_is_one_warning(folder: Path, monkeypatch, caplog: pytest.LogCaptureFixture):
    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    results = [estimated(*mixed(seed)) for seed in range(3)]
    assert len(results) == 3
    assert caplog.text.count("No space left on device") == 1
    assert str(folder) in caplog.text
    assert files(folder) == []


def test_a_folder_that_cannot_be_made_is_a_warning(folder: Path, caplog: pytest.LogCaptureFixture):
    folder.write_text("a file")
    assert estimated(*mixed()).shape == (24, 31, 3)
    assert "cannot be cached" in caplog.text


def _hashes(count: int) -> list[bytes]:
    estimates.is_installed = lambda: False  # in a new process
    return [estimated(*mixed(seed)).tobytes() for seed in range(count)]


@pytest.mark.slow
def test_two_processes_share_the_folder(folder: Path):
    context = multiprocessing.get_context("spawn")
    with lean_environment(), context.Pool(2) as pool:
        one, two = pool.map(_hashes, [6, 6])
    assert one == two == _hashes(6)
    assert len(files(folder)) == 6
    assert all(path.suffix == ".png" for path in files(folder))


def test_the_folder_is_beside_that_of_datasets(monkeypatch: pytest.MonkeyPatch):
    import datasets  # not with the module, which workers import

    monkeypatch.delenv(ESTIMATES.variable)
    assert ESTIMATES.folder == Path(datasets.config.HF_CACHE_HOME) / "dvm_hf" / "estimates"
    monkeypatch.setenv(ESTIMATES.variable, "")
    assert ESTIMATES.folder is None


def test_the_method_names_itself(monkeypatch: pytest.MonkeyPatch):
    assert str(estimation_method()) == f"box-fusion (edition {box_fusion.EDITION})"
    monkeypatch.setattr(estimates, "is_installed", lambda: True)
    monkeypatch.setattr(estimates, "library_versions", lambda: "pymatting 1, numba 2")
    assert str(estimation_method()) == "multilevel (pymatting 1, numba 2)"


def test_long_estimation_is_logged_once_for_each_tenfold_time(monkeypatch, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(estimates._Spent, "seconds", 0.0)
    monkeypatch.setattr(estimates._Spent, "pictures", 0)
    monkeypatch.setattr(estimates._Spent, "notice", 10.0)
    for _ in range(120):
        estimates._Spent.add(1.0)
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        "foreground colours are estimated (10 pictures in 10 s so far)",
        "foreground colours are estimated (100 pictures in 100 s so far)",
    ]
