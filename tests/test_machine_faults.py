"""Faults of the machine are reported as such and retried, and skip nothing permanently."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import click
import pytest
from click.testing import CliRunner
from conftest import TreeWriter

from dvm_hf import machine_faults
from dvm_hf.check.report import check
from dvm_hf.cli import main
from dvm_hf.commands.config_options import config
from dvm_hf.errors import MachineError, SourceError
from dvm_hf.machine_faults import full_disk, machine_fault, retried
from dvm_hf.media.still.stills import read_colour
from dvm_hf.media.video import containers
from dvm_hf.media.video.containers import opened_container
from dvm_hf.prepared import atomic_io
from dvm_hf.prepared.atomic_io import write_error

ROOT = Path(__file__).resolve().parents[1]


class Flaky:
    """`av.open` that fails temporarily for paths with a name."""

    def __init__(self, name: str, number: int, *, times: int) -> None:
        self.name, self.number, self.times, self.real = name, number, times, av.open

    def __call__(self, path: str, *arguments: Any, **options: Any) -> Any:
        if Path(path).name == self.name and self.times:
            self.times -= 1
            raise OSError(self.number, os.strerror(self.number), path)
        return self.real(path, *arguments, **options)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_faults, "PAUSES", (0.0, 0.0, 0.0))


@pytest.fixture
def few(tree: TreeWriter) -> Path:
    tree.still("a")
    for number in range(3):
        tree.background(f"{number:04d}", size=(72 + 4 * number, 96), frames=6)
    return tree.root


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ETIMEDOUT])
def test_readers_distinguish_machine_faults_from_file_faults(
    few: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = few / "bg" / "train" / "0000.mp4"
    monkeypatch.setattr(containers.av, "open", Flaky("0000.mp4", number, times=9))
    with pytest.raises(MachineError, match=os.strerror(number)):
        opened_container(path)
    still = few / "fg" / "image" / "train" / "fg" / "a.png"

    def failing(*arguments: Any, **options: Any) -> Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("dvm_hf.media.still.stills.Image.open", failing)
    with pytest.raises(MachineError, match="not in the file"):
        read_colour(still)


def test_damage_is_a_fault_of_the_file(few: Path) -> None:
    path = few / "bg" / "train" / "0000.mp4"
    path.write_bytes(b"no video" * 9)
    with pytest.raises(SourceError, match="replace the file") as raised:
        opened_container(path)
    assert not isinstance(raised.value, MachineError)
    # FFmpeg reports EIO and ENOMEM of damaged files, too: the file itself can be read here
    assert machine_fault(path, av.error.OSError(errno.EIO, "Input/output error", str(path))) is None


@pytest.mark.parametrize("failures", [0, 1, 3, 4])
def test_retries_are_bounded_and_resume(failures: int) -> None:
    left = [failures]
    begun_at = []

    def begun(done: int) -> Any:
        begun_at.append(done)
        for number in range(done, 5):
            if number == 2 and left[0]:
                left[0] -= 1
                raise MachineError("fault")
            yield number

    if failures == 4:
        with pytest.raises(MachineError):
            list(retried(begun))
    else:
        assert list(retried(begun)) == [0, 1, 2, 3, 4]
        assert begun_at == [0, *[2] * failures]


@pytest.mark.parametrize("on_error", ["skip", "raise"])
def test_a_transient_fault_skips_no_clip(
    few: Path, on_error: str, load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers.av, "open", Flaky("0001.mp4", errno.ESTALE, times=3))
    rows = load("train", data_dir=str(few), split="train", clip_length=2, on_error=on_error)
    assert len(set(rows["clip_id"])) == 3


def test_a_lasting_fault_stops_the_build_and_is_not_cached(
    few: Path, load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {"data_dir": str(few), "split": "train", "clip_length": 2, "on_error": "skip"}
    with monkeypatch.context() as patch:
        patch.setattr(containers.av, "open", Flaky("0001.mp4", errno.EIO, times=99))
        with pytest.raises(MachineError, match="Input/output error"):
            load("train", **wanted)
    assert len(set(load("train", **wanted)["clip_id"])) == 3


def test_a_lasting_fault_finishes_no_shard(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["prepare", str(few), str(tmp_path / "out"), "--clip-length", "2", "--on-error", "skip", "--num-shards"]
    with monkeypatch.context() as patch:
        patch.setattr(containers.av, "open", Flaky("0001.mp4", errno.EMFILE, times=99))
        result = CliRunner().invoke(main, [*arguments, "1"])
        assert result.exit_code == 2
        assert "Too many open files" in result.output
    assert not list((tmp_path / "out" / "data").glob("*.parquet"))
    assert CliRunner().invoke(main, [*arguments, "1"]).exit_code == 0


def test_check_reports_the_machine(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers.av, "open", Flaky("0001.mp4", errno.ESTALE, times=99))
    found = check(few, configs=[config("train", str(few), {})], processes=0).findings
    assert [one.code for one in found if one.path == "bg/train/0001.mp4"] == ["machine-fault"]


def test_a_full_disk_takes_precedence(tmp_path: Path) -> None:
    error = OSError(errno.ENOSPC, "No space left on device")
    assert str(write_error(tmp_path, error)).startswith("No space left on device: ")
    outer = RuntimeError("An error occurred")
    outer.__cause__ = error
    assert full_disk(outer) is error
    assert full_disk(OSError(errno.EIO, "x")) is None


@pytest.mark.slow
@pytest.mark.parametrize("command", ["check", "prepare"])
def test_without_workers_there_is_one_error(few: Path, tmp_path: Path, command: str) -> None:
    out = [str(tmp_path / "out"), "--clip-length", "2", "--num-shards", "3"] if command == "prepare" else ["--deep"]
    script = f"from dvm_hf.cli import main\nmain({[command, str(few), *out, '--num-proc', '2']!r})\n"
    done = subprocess.run(
        [sys.executable, "-"], input=script, capture_output=True, text=True, cwd=ROOT, check=False, timeout=120
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("Error: no worker process can be started") == 1
    assert "crash" not in done.stdout


@pytest.mark.parametrize(
    ("error", "code"), [(KeyError("x"), 3), (KeyboardInterrupt(), 130), (BrokenPipeError(), 141), (SourceError("x"), 2)]
)
def test_exit_codes(error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command("failing")
    def failing() -> None:
        raise error

    monkeypatch.setitem(main.commands, "failing", failing)
    result = CliRunner().invoke(main, ["failing"])
    assert result.exit_code == code
    assert ("bug" in result.output) == (code == 3)
    assert code != 141 or not result.output


def test_no_signal_is_sent_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hidden(type(Path())):  # type: ignore[misc]
        def read_text(self, *arguments: Any, **options: Any) -> str:
            raise FileNotFoundError

        def exists(self, *arguments: Any, **options: Any) -> bool:
            return False

    sent: list[int] = []
    monkeypatch.setattr(atomic_io, "Path", Hidden)
    monkeypatch.setattr(atomic_io.os, "kill", lambda pid, number: sent.append(number))
    assert atomic_io._started(os.getpid()) == 0
    assert sent == []
    monkeypatch.setattr(atomic_io.os, "name", "nt")
    monkeypatch.setattr(atomic_io, "_is_windows_process", lambda pid, kernel: pid == 7)
    monkeypatch.setattr(atomic_io.ctypes, "WinDLL", lambda *a, **k: None, raising=False)
    assert [atomic_io._alive(7), atomic_io._alive(8)] == [0, None]
    assert sent == []
    assert signal.SIGINT  # the number that os.kill(pid, 0) means there
