"""Atomic writes, and temporary files of living and dead writers."""

import errno
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dvm_hf import PreparedError
from dvm_hf.prepared import atomic_io
from dvm_hf.prepared.atomic_io import (
    atomic_create,
    atomic_file,
    atomic_write,
    leftovers,
    make_writable,
    temporaries,
    write_error,
)
from dvm_hf.worker_processes import LEAN


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "file"
    with atomic_file(target) as temporary:
        temporary.write_bytes(b"some")
        assert not target.exists()
        assert temporaries(tmp_path) == [temporary]
        assert leftovers(tmp_path) == []  # its writer lives
    assert target.read_bytes() == b"some"
    assert list(tmp_path.iterdir()) == [target]


def test_an_error_keeps_the_previous_file_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"former")
    with pytest.raises(RuntimeError), atomic_file(tmp_path / "file") as temporary:  # noqa: PT012
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"former"]


@pytest.mark.parametrize("write", [atomic_write, atomic_create])
def test_a_file_that_cannot_be_flushed_does_not_appear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path, bytes], None]
) -> None:
    """Otherwise, a power failure could leave an empty file under its name."""

    def failing(handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    (tmp_path / "former").write_bytes(b"former")
    monkeypatch.setattr(os, "fsync", failing)
    for name in ("new", "former") if write is atomic_write else ("new",):
        with pytest.raises(PreparedError, match="cannot be written"):
            write(tmp_path / name, b"data")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"former": b"former"}


def test_a_folder_that_cannot_be_flushed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller would otherwise take a file for durable that a power failure can remove."""
    fsync = os.fsync

    def failing(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            assert (tmp_path / "file").read_bytes() == b"data"  # too early a flush would not cover the new name
            raise OSError(errno.EIO, "Input/output error")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(PreparedError, match="cannot be written"):
        atomic_write(tmp_path / "file", b"data")


def failing_fsync(code: int, *, of_folders: bool, flushed: list[bool]) -> Callable[[int], None]:
    """Return an fsync that fails for folders or for files, and notes for each call whether it is for a folder."""
    fsync = os.fsync

    def call(handle: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(handle).st_mode)
        flushed.append(is_folder)
        if is_folder == of_folders:
            raise OSError(code, os.strerror(code))
        fsync(handle)

    return call


# fsync(2): EINVAL for what does not support synchronization. Network and FUSE file systems also report the other two
WITHOUT_FOLDER_FLUSH = [errno.EINVAL, errno.ENOTSUP, errno.EBADF]


@pytest.mark.parametrize("code", WITHOUT_FOLDER_FLUSH, ids=errno.errorcode.get)
@pytest.mark.parametrize("write", [atomic_write, atomic_create])
def test_a_file_system_that_flushes_only_files_can_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path, bytes], None], code: int
) -> None:
    flushed: list[bool] = []
    monkeypatch.setattr(os, "fsync", failing_fsync(code, of_folders=True, flushed=flushed))
    write(tmp_path / "file", b"data")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"data")]
    assert flushed == [False, True]  # the file, then its folder


@pytest.mark.parametrize("code", WITHOUT_FOLDER_FLUSH, ids=errno.errorcode.get)
def test_a_file_that_cannot_be_flushed_is_an_error_with_every_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(os, "fsync", failing_fsync(code, of_folders=False, flushed=[]))
    with pytest.raises(PreparedError, match=re.escape(os.strerror(code))):
        atomic_write(tmp_path / "file", b"data")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "code", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES], ids=errno.errorcode.get
)
def test_other_errors_of_a_folder_are_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr(os, "fsync", failing_fsync(code, of_folders=True, flushed=[]))
    with pytest.raises(PreparedError, match=re.escape(os.strerror(code))):
        atomic_write(tmp_path / "file", b"data")


@pytest.mark.parametrize("code", [None, errno.EPERM, errno.ENOTSUP])
def test_atomic_create_keeps_the_first_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int | None) -> None:
    def refused(*paths: Path) -> None:
        raise OSError(code, "no links here")

    if code is not None:
        monkeypatch.setattr(os, "link", refused)
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: path.name != "late" and exists(path))  # written meanwhile
    for name in ("file", "late"):
        atomic_create(tmp_path / name, b"first")
        if name == "file" or code is None:
            atomic_create(tmp_path / name, b"second")
        assert (tmp_path / name).read_bytes() == b"first"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "late"]


def test_new_folders_are_flushed_into_their_parents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[Path] = []
    monkeypatch.setattr(atomic_io, "flush", flushed.append)
    make_writable(tmp_path / "a/b")
    assert set(flushed) == {tmp_path, tmp_path / "a"}


@pytest.mark.slow
def test_only_temporary_files_of_dead_writers_are_leftovers(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from dvm_hf.prepared.atomic_io import atomic_file\n"
        "with atomic_file(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_bytes(b'half'); print(flush=True); sys.stdin.read()\n"
    )
    environment = os.environ | LEAN | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "file")],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        assert len(temporaries(tmp_path)) == 1
        assert leftovers(tmp_path) == []
        writer.kill()
        os.waitid(os.P_PID, writer.pid, os.WEXITED | os.WNOWAIT)  # dead, but a zombie still
        assert leftovers(tmp_path) == temporaries(tmp_path)
        assert len(leftovers(tmp_path)) == 1


def test_a_process_with_a_reused_pid_is_not_the_writer(tmp_path: Path) -> None:
    mine = f"{atomic_io.host_name()}-{os.getpid()}"
    stale = tmp_path / f".file.{mine}-1-{'0' * 16}.tmp"
    stale.touch()
    assert leftovers(tmp_path) == [stale]


def test_an_untouched_file_of_another_host_is_a_leftover(tmp_path: Path) -> None:
    path = tmp_path / f".file.elsewhere-1-1-{'0' * 16}.tmp"
    path.touch()
    assert leftovers(tmp_path) == []
    hours_ago = path.stat().st_mtime - 2 * atomic_io.FOREIGN_LIFE
    os.utime(path, (hours_ago, hours_ago))
    assert leftovers(tmp_path) == [path]


ROOM = "{reason}: {path} cannot be written; "  # the cause first
OTHER = "{path}: cannot be written ({reason}); "
REMEDIES = {  # start of the text, and the hint
    errno.ENOSPC: (ROOM, "free space on this file system"),
    errno.EDQUOT: (ROOM, "your quota is used up"),
    errno.EROFS: (OTHER, "mount this one for writing"),
    errno.EACCES: (OTHER, "permission to write"),
    errno.EPERM: (OTHER, "permission to write"),
    errno.EIO: (OTHER, "the disk or the network fails"),
    errno.EFBIG: (OTHER, "--max-shard-size"),
    errno.ENOTDIR: (OTHER, "part of this path is a file"),
    errno.EEXIST: (OTHER, "a file with this name exists"),
    errno.EISDIR: (OTHER, "a folder with this name exists"),
    errno.ENAMETOOLONG: (OTHER, "a shorter path"),
    errno.ELOOP: (OTHER, "check this path"),  # as of every other fault
}


@pytest.mark.parametrize("code", REMEDIES)
def test_a_write_error_names_path_reason_and_hint(tmp_path: Path, code: int) -> None:
    beginning, remedy = REMEDIES[code]
    text = str(write_error(tmp_path, OSError(code, os.strerror(code))))
    beginning = beginning.format(path=tmp_path, reason=os.strerror(code))
    assert text.startswith(beginning)
    assert remedy in text.removeprefix(beginning)
    foreign = {other for _, other in REMEDIES.values() if other != remedy and other in text}
    assert not foreign


def test_every_hint_has_a_test() -> None:
    assert atomic_io.HINTS.keys() == REMEDIES.keys() - {errno.ELOOP}


def test_a_file_in_place_of_an_output_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PreparedError, match=os.strerror(errno.ENOTDIR)):
        make_writable(tmp_path / "file" / "folder")
