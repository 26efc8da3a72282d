"""Write files atomically: under a temporary name, flushed to the disk, then renamed.

A temporary name identifies its writer, so that later runs can tell which temporary files are abandoned:
`.train-00007-of-00240.parquet.HOST-PID-START-RANDOM.tmp`, where START is the start time of the process.
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
FOREIGN_LIFE = 3600  # seconds; a temporary file of another host that is older than this counts as abandoned
ATTEMPTS = 3  # to write a file whose temporary file is removed, for example by another host of the same name
CHUNK = 1 << 20  # bytes
SYNCHRONIZE, WAIT_TIMEOUT, ERROR_ACCESS_DENIED = 0x00100000, 0x102, 5  # Windows API
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES, errno.EXDEV)
Result = TypeVar("Result")
RERUN = "run the same command again; finished shards are kept"
HINTS = {
    errno.ENOSPC: f"free space on this file system and {RERUN}",
    errno.EDQUOT: f"your quota is used up; free space and {RERUN}",
    errno.EROFS: "choose another folder, or mount this one for writing",
    errno.EACCES: "choose another folder, or get permission to write to this one",
    errno.EPERM: "choose another folder, or get permission to write to this one",
    errno.EIO: f"the disk or the network fails; fix it and {RERUN}",
    errno.EFBIG: "the file system or a limit does not allow files of this size; use a smaller --max-shard-size",
    errno.ENOTDIR: "part of this path is a file; choose another folder",
    errno.EEXIST: "a file with this name exists; choose another folder",
    errno.EISDIR: f"a folder with this name exists; move it elsewhere and {RERUN}",
    errno.ENAMETOOLONG: "choose a folder with a shorter path",
}


class TemporaryRemoved(PreparedError):
    """The temporary file was removed before it was renamed. Retry the write."""


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to. On exit it is flushed and renamed to `path`, or removed after an error.

    Raises PreparedError with a hint if the system refuses the write.
    """
    with temporary_file(path) as temporary:
        yield temporary
        flush(temporary)
        os.replace(temporary, path)
        flush(path.parent)


@contextmanager
def temporary_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` and remove it on exit; raise system errors as PreparedError."""
    temporary = path.with_name(f".{path.name}.{writer_name()}-{secrets.token_hex(8)}.tmp")
    try:
        yield temporary
    except ConnectionError:  # of the progress pipe, unrelated to the file
        raise
    except OSError as error:
        if isinstance(error, FileNotFoundError) and path.parent.is_dir():
            raise TemporaryRemoved(
                f"{path}: its temporary file was removed during writing; run the command again"
            ) from error
        raise write_error(path, error) from error
    finally:
        with suppress(OSError):  # the file may not exist
            temporary.unlink()


def atomic_write(path: Path, data: bytes) -> None:
    """Write a small file atomically, unless it already has these bytes."""
    try:
        if path.read_bytes() == data:
            return
    except OSError:
        pass  # missing or unreadable: write it

    def write() -> None:
        with atomic_file(path) as temporary:
            temporary.write_bytes(data)

    retried_write(write)


def atomic_create(path: Path, data: bytes) -> None:
    """Write a small file atomically if it does not exist; if several processes write at once, the first one wins.

    Read the file afterwards to learn which one won. On a file system without hard links, the last of several
    simultaneous writers may win instead.
    """

    def write() -> None:
        with temporary_file(path) as temporary:
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
        retried_write(write)


def retried_write(write: Callable[[], Result]) -> Result:
    """Return the result of `write`, retried if its temporary file is removed."""
    for _ in range(ATTEMPTS - 1):
        try:
            return write()
        except TemporaryRemoved:
            continue
    return write()


def write_error(path: Path, error: OSError) -> PreparedError:
    """Return the error for a refused write, with a hint."""
    hint = HINTS.get(error.errno or 0, "check this path and run the same command again")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):  # the cause first
        return PreparedError(f"{error.strerror or error}: {path} cannot be written; {hint}")
    return PreparedError(f"{path}: cannot be written ({error.strerror or error}); {hint}")


def make_writable(folder: Path) -> None:
    """Create a folder if it is missing, and test that it is writable; raises PreparedError if not."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in missing:
            flush(path.parent)  # otherwise a power failure could remove the folder with all flushed files
    except OSError as error:
        raise write_error(folder, error) from error
    probe = folder / f".probe.{writer_name()}-{secrets.token_hex(8)}.tmp"
    try:
        probe.write_bytes(b"write test")
    except OSError as error:
        raise write_error(folder, error) from error
    finally:
        with suppress(OSError):
            probe.unlink()


def stems(folder: Path, suffix: str) -> set[str]:
    """Return the names of the files in a folder with this suffix, without it; opens no file."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name.removesuffix(suffix) for entry in entries if entry.name.endswith(suffix)}
    except FileNotFoundError:
        return set()


@contextmanager
def reader(path: Path) -> Iterator[Callable[[int, int], bytes]]:
    """Open a file; yield what returns `size` bytes from `start`, fewer at its end."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))

    def read(start: int, size: int) -> bytes:
        os.lseek(handle, start, os.SEEK_SET)
        data = b""
        while len(data) < size:  # a read may be short
            more = os.read(handle, size - len(data))
            if not more:
                break
            data += more
        return data

    try:
        yield read
    finally:
        os.close(handle)


def leftovers(folder: Path) -> list[Path]:
    """Return the temporary files in a folder whose writers have ended."""
    return [path for path in temporaries(folder) if not _has_writer(path)]


def temporaries(folder: Path) -> list[Path]:
    """Return all temporary files in a folder, including those of running writers."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if TEMPORARY.fullmatch(path.name))


def sha256_of(path: Path) -> str:
    """Return the hex SHA-256 of a file."""
    return _digest_of(path, hashlib.sha256())


def checksum_of(path: Path) -> str:
    """Return the hex 128-bit XXH3 of a file: detects accidental changes, 8 times as fast as SHA-256."""
    return _digest_of(path, xxhash.xxh3_128())


def _digest_of(path: Path, digest: Any) -> str:
    with path.open("rb", buffering=0) as file:
        chunk = bytearray(min(CHUNK, os.fstat(file.fileno()).st_size + 1))
        while size := file.readinto(chunk):
            digest.update(memoryview(chunk)[:size])
    return str(digest.hexdigest())


def flush(path: Path) -> None:
    """fsync a file, or a folder to make renames in it durable."""
    is_folder = path.is_dir()
    if is_folder and os.name == "nt":
        return  # Windows cannot open folders
    try:
        handle = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    except PermissionError:
        if is_folder:  # writable but not readable
            return
        raise
    try:
        os.fsync(handle)
    except OSError as error:
        if not is_folder or error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise  # some network file systems only flush files
    finally:
        os.close(handle)


def forget_cached(path: Path) -> None:
    """Drop a flushed file from the page cache, if the system supports it, so that the next read is from the disk."""
    if hasattr(os, "posix_fadvise"):
        handle = os.open(path, os.O_RDONLY)
        try:
            with suppress(OSError):  # some file systems do not support it
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def _has_writer(path: Path) -> bool:
    """Whether the process in a temporary file's name may still be writing."""
    writer = TEMPORARY.fullmatch(path.name)
    assert writer is not None
    if writer["host"] != host_name():
        try:
            return time.time() - path.stat().st_mtime < FOREIGN_LIFE
        except FileNotFoundError:
            return False
    return _started(int(writer["pid"])) == int(writer["start"])


def writer_name() -> str:
    """Return the name of this process in its temporary files: host, process and start time."""
    return f"{host_name()}-{os.getpid()}-{_started(os.getpid())}"


def host_name() -> str:
    return re.sub(r"[^\w-]", "_", socket.gethostname())[:40]


def _started(pid: int) -> int | None:
    """Return a process's start time in clock ticks since boot; 0 if unknown, None if there is no such process."""
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
        with suppress(PermissionError):  # a process of another user
            os.kill(pid, 0)
    except ProcessLookupError:
        return None
    return 0


def _is_windows_process(pid: int, kernel: Any) -> bool:
    """Whether a process runs, by Windows' kernel32; a process without access counts as running."""
    kernel.OpenProcess.restype = ctypes.c_void_p  # a handle has the size of a pointer
    handle = kernel.OpenProcess(SYNCHRONIZE, False, pid)
    if not handle:
        return bool(ctypes.get_last_error() == ERROR_ACCESS_DENIED)  # type: ignore[attr-defined]
    try:
        return bool(kernel.WaitForSingleObject(ctypes.c_void_p(handle), 0) == WAIT_TIMEOUT)
    finally:
        kernel.CloseHandle(ctypes.c_void_p(handle))
