"""Files that are there whole or not at all: written under a temporary name, flushed to the disk, renamed.

A temporary name says who writes it, so that whoever comes later knows which ones nobody will ever finish:
`.train-00007-of-00240.parquet.HOST-PID-START-RANDOM.tmp`, START being when the process started.
"""

import ctypes
import errno
import hashlib
import os
import re
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import xxhash

from dvm_hf.errors import PreparedError

TEMPORARY = re.compile(r"\..+\.(?P<host>[^.]+)-(?P<pid>\d+)-(?P<start>\d+)-[0-9a-f]{16}\.tmp")
FOREIGN_LIFE = 3600  # seconds; a temporary file of another host that nobody has touched for so long has no writer
ATTEMPTS = 3  # at a file whose temporary someone removes: on another host, say, that has this one's name
CHUNK = 1 << 20  # bytes
SYNCHRONIZE, WAIT_TIMEOUT, ERROR_ACCESS_DENIED = 0x00100000, 0x102, 5  # of the Windows API
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES, errno.EXDEV)
Made = TypeVar("Made")
ADVICE = {
    errno.ENOSPC: "make room on this file system and run the same again: finished shards are kept",
    errno.EDQUOT: "your quota is used up; make room and run the same again: finished shards are kept",
    errno.EROFS: "choose another folder, or mount this one for writing",
    errno.EACCES: "choose another folder, or get permission to write into this one",
    errno.EPERM: "choose another folder, or get permission to write into this one",
    errno.EIO: "the disk or the network to it fails; mend it and run the same again: finished shards are kept",
    errno.EFBIG: "the file system or a limit allows no such large file; a smaller --max-shard-size makes smaller ones",
    errno.ENOTDIR: "part of this path is a file; choose another folder",
    errno.EEXIST: "a file is in the way; choose another folder",
    errno.EISDIR: "a folder is in the way; move it elsewhere and run the same again: finished shards are kept",
    errno.ENAMETOOLONG: "choose a folder with a shorter path",
}


class LostTemporary(PreparedError):
    """Someone has removed the temporary file before it was renamed; writing it again is all that is to do."""


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary path to write to; on leaving it becomes `path`, flushed to the disk, or goes where there is an error.

    Raises PreparedError, saying what to do, where the folder or the disk does not allow it.
    """
    with _temporary_of(path) as temporary:
        yield temporary
        flush(temporary)
        os.replace(temporary, path)
        flush(path.parent)


@contextmanager
def _temporary_of(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, gone at the end; what the system refuses meanwhile becomes a PreparedError."""
    temporary = path.with_name(f".{path.name}.{_writer()}-{secrets.token_hex(8)}.tmp")
    try:
        yield temporary
    except ConnectionError:  # of who waits for progress; no fault of the file
        raise
    except OSError as error:
        if isinstance(error, FileNotFoundError) and path.parent.is_dir():
            raise LostTemporary(
                f"{path}: its temporary file was removed during writing; run the command again"
            ) from error
        raise refusal(path, error) from error
    finally:
        with suppress(OSError):  # where nothing can be written, nothing was
            temporary.unlink()


def write_whole(path: Path, data: bytes) -> None:
    """Write a small file; one that has these bytes already is left as it is."""
    try:
        if path.read_bytes() == data:
            return
    except OSError:
        pass  # not there or not readable: written anew

    def write() -> None:
        with written_whole(path) as temporary:
            temporary.write_bytes(data)

    retrying_lost(write)


def write_first(path: Path, data: bytes) -> None:
    """Write a small file where there is none: of several that write at once, the first one's stays.

    Who must know whose it became reads it afterwards. Where the file system has no hard links, the last of several
    within the same moment may win.
    """

    def write() -> None:
        with _temporary_of(path) as temporary:
            temporary.write_bytes(data)
            flush(temporary)
            try:
                os.link(temporary, path)
            except FileExistsError:
                return
            except OSError as error:
                if error.errno not in NO_LINKS:
                    raise
                if path.exists():
                    return
                os.replace(temporary, path)
            flush(path.parent)

    if not path.exists():
        retrying_lost(write)


def retrying_lost(write: Callable[[], Made]) -> Made:
    """What `write` returns; called again where its temporary file was lost."""
    for _ in range(ATTEMPTS - 1):
        try:
            return write()
        except LostTemporary:
            continue
    return write()


def refusal(path: Path, error: OSError) -> PreparedError:
    """What the system said of a path, as an error that says what to do."""
    advice = ADVICE.get(error.errno or 0, "see what is there and run the same again")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):  # the cause first
        return PreparedError(f"{error.strerror or error}: {path} cannot be written; {advice}")
    return PreparedError(f"{path}: cannot be written ({error.strerror or error}); {advice}")


def make_writable(folder: Path) -> None:
    """Make the folder where it is missing, and write a file into it; raises PreparedError where that cannot be done."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in missing:
            flush(path.parent)  # or a power cut could take the folder, with all that was flushed into it
    except OSError as error:
        raise refusal(folder, error) from error
    probe = folder / f".probe.{_writer()}-{secrets.token_hex(8)}.tmp"
    try:
        probe.write_bytes(b"can this be written?")
    except OSError as error:
        raise refusal(folder, error) from error
    finally:
        with suppress(OSError):
            probe.unlink()


def leftovers(folder: Path) -> list[Path]:
    """Temporary files in a folder whose writers are gone."""
    return [path for path in temporaries(folder) if not _has_writer(path)]


def temporaries(folder: Path) -> list[Path]:
    """All temporary files in a folder, of living writers too."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if TEMPORARY.fullmatch(path.name))


def sha256_of(path: Path) -> str:
    """Hex digest of a file's bytes."""
    return _digest_of(path, hashlib.sha256())


def checksum_of(path: Path) -> str:
    """Hex XXH3 of a file's bytes, 128 bits: against accidents, in an eighth of SHA-256's time."""
    return _digest_of(path, xxhash.xxh3_128())


def _digest_of(path: Path, digest: Any) -> str:
    chunk = bytearray(CHUNK)
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(chunk):
            digest.update(memoryview(chunk)[:size])
    return str(digest.hexdigest())


def flush(path: Path) -> None:
    """fsync a file or, which makes a rename last, a folder."""
    is_folder = path.is_dir()
    if is_folder and os.name == "nt":
        return  # Windows opens no folder
    try:
        handle = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    except PermissionError:
        if is_folder:  # one that may be written into but not read
            return
        raise
    try:
        os.fsync(handle)
    except OSError as error:
        if not is_folder or error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise  # some network file systems flush files only
    finally:
        os.close(handle)


def forget_cached(path: Path) -> None:
    """Let the system forget what it holds of a flushed file, so that reading it asks the disk; where it can be told."""
    if hasattr(os, "posix_fadvise"):
        handle = os.open(path, os.O_RDONLY)
        try:
            with suppress(OSError):  # an advice, which some file systems do not take
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def _has_writer(path: Path) -> bool:
    """Whether the process that a temporary name tells of may still be writing."""
    made_by = TEMPORARY.fullmatch(path.name)
    assert made_by is not None
    if made_by["host"] != _host():
        try:
            return time.time() - path.stat().st_mtime < FOREIGN_LIFE
        except FileNotFoundError:
            return False
    return _started(int(made_by["pid"])) == int(made_by["start"])


def _writer() -> str:
    return f"{_host()}-{os.getpid()}-{_started(os.getpid())}"


def _host() -> str:
    return re.sub(r"[^\w-]", "_", socket.gethostname())[:40]


def _started(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; 0 where the system does not say; None: there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        if pid == os.getpid():
            return 0
        return None if Path("/proc/self/stat").exists() else _alive(pid)
    fields = text.rpartition(")")[2].split()  # state is the first after the command's name, start the twentieth
    return None if fields[0] in "ZX" else int(fields[19])


def _alive(pid: int) -> int | None:
    if os.name == "nt":  # signal 0 is Ctrl-C there
        return 0 if _is_windows_process(pid, ctypes.WinDLL("kernel32", use_last_error=True)) else None  # type: ignore[attr-defined]
    try:
        with suppress(PermissionError):  # it is another user's
            os.kill(pid, 0)
    except ProcessLookupError:
        return None
    return 0


def _is_windows_process(pid: int, kernel: Any) -> bool:
    """Whether a process runs, by Windows' kernel32; one that may not be asked counts as running."""
    kernel.OpenProcess.restype = ctypes.c_void_p  # a handle has the size of a pointer
    handle = kernel.OpenProcess(SYNCHRONIZE, False, pid)
    if not handle:
        return bool(ctypes.get_last_error() == ERROR_ACCESS_DENIED)  # type: ignore[attr-defined]
    try:
        return bool(kernel.WaitForSingleObject(ctypes.c_void_p(handle), 0) == WAIT_TIMEOUT)
    finally:
        kernel.CloseHandle(ctypes.c_void_p(handle))
