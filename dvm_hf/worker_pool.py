"""Call a function in worker processes that may be killed: one that ends fails only its call, and is replaced.

Each worker has a Pebble pool of its own, because workers of one pool share locks, which a killed one can hold.
"""

import pickle
import traceback
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, Generic, TypeVar

from pebble import ProcessExpired, ProcessPool

from dvm_hf.machine_faults import HINTS
from dvm_hf.open_iterators import closed_at_exit
from dvm_hf.worker_processes import deferred_interrupts, ignore_interrupts, lean_start, no_worker

Call = TypeVar("Call")
Result = TypeVar("Result")

CHECK = 1.0  # seconds between two looks for pools that stopped without a result
EXITED = 256  # exit code 0, which Pebble does not take for the end of a call; no system has a code above 255
LAST = b""  # ends the reports

_STARTS = Lock()  # the environment belongs to all threads
_reports: Any = None  # in a worker: the end of the pipe to write to


@dataclass(frozen=True)
class Death:
    """A worker that ended unexpectedly. exit_code: minus its signal, if one ended it; None if it did not start."""

    exit_code: int | None

    def __str__(self) -> str:
        if self.exit_code is None:
            return "before it started"
        return f"by signal {-self.exit_code}" if self.exit_code < 0 else f"with code {self.exit_code}"


class _Process(SpawnProcess):
    starting = staticmethod(deferred_interrupts)

    def start(self) -> None:
        with _STARTS, self.starting():
            super().start()

    @property
    def exitcode(self) -> int | None:
        code = super().exitcode
        return EXITED if code == 0 else code


class _LeanProcess(_Process):
    starting = staticmethod(lean_start)


class _Context(SpawnContext):
    """Spawns processes, as a fork would inherit decoders and locks."""

    Process = _Process


class _LeanContext(SpawnContext):
    Process = _LeanProcess


def pooled_results(
    function: Callable[[Call], Result],
    calls: Iterator[Call],
    *,
    processes: int,
    on_report: Callable[[Any], None] = lambda report: None,
    initializer: Callable[[], None] = ignore_interrupts,
    is_lean: bool = True,
) -> Generator[tuple[Call, Result | Death], None, None]:
    """Yield each call with its result, or with the death of its worker, in the order in which they end.

    calls: each is taken when a process is free for it. More may be added after a death was yielded. on_report: called
    with what the function passes to `report`. initializer: called in each process, before `function` and the calls are
    unpickled there. is_lean: whether processes do without `datasets`.

    Raises what `function` raises (RuntimeError with its traceback if that cannot be pickled), and MachineError if no
    process can be started. Then ends all processes, even during a call, and at the latest at exit.
    """
    context = _LeanContext() if is_lean else _Context()
    return closed_at_exit(_results(function, calls, on_report, context, processes, initializer))


def _results(
    function: Callable[[Call], Result],
    calls: Iterator[Call],
    on_report: Callable[[Any], None],
    *pool_arguments: Any,
) -> Generator[tuple[Call, Result | Death], None, None]:
    pool = _WorkerPool[Call, Result](*pool_arguments)
    try:
        yield from pool.results(function, calls, on_report)
    finally:
        pool.end()
    for last in pool.reports():
        on_report(last)


def report(progress: Any) -> None:
    """Send a small object from a worker to `on_report`; raises ConnectionError if the process that called has ended.

    Needs no lock, because the system writes less than 4 kB (Linux) at once.
    """
    _reports.send(progress)


class _WorkerPool(Generic[Call, Result]):
    def __init__(self, context: SpawnContext, processes: int, initializer: Callable[[], None]) -> None:
        self._context = context
        self._reader, self._writer = self._context.Pipe(duplex=False)
        self._events: SimpleQueue[Future[bytes] | bytes] = SimpleQueue()
        self._initial = (self._writer, initializer)
        self._pools: set[ProcessPool] = set()  # all that `end` has to stop, at whatever moment it is called
        self._idle = [self._pool() for _ in range(processes)]
        self._at_work: dict[Future[bytes], tuple[ProcessPool, Call]] = {}
        self._has_run = False  # whether any worker started
        self._listener = Thread(target=self._listen, daemon=True, name="reports of workers")
        self._listener.start()

    def results(
        self, function: Callable[[Call], Result], calls: Iterator[Call], on_report: Callable[[Any], None]
    ) -> Iterator[tuple[Call, Result | Death]]:
        while True:
            self._start(function, calls)
            if not self._at_work:
                return
            event = self._event()
            if isinstance(event, bytes):
                self._has_run = True
                on_report(pickle.loads(event))
                continue
            if event not in self._at_work:  # lost before, and failed since
                continue
            pool, call = self._at_work.pop(event)
            result = self._result(event)
            if isinstance(result, Death):
                self._end(pool)
                self._idle.append(self._pool())
            else:
                self._idle.append(pool)
                self._start(function, calls)
            yield call, result

    def reports(self) -> Iterator[Any]:
        """Yield the reports that arrived after the last result."""
        while not self._events.empty():
            event = self._events.get()
            if isinstance(event, bytes):
                yield pickle.loads(event)

    def end(self) -> None:
        for pool in self._pools:
            pool.stop()  # type: ignore[no-untyped-call]
        for pool in [*self._pools]:
            self._end(pool)
        self._writer.send_bytes(LAST)  # a process that was forked from this one may keep the pipe open
        self._writer.close()
        self._listener.join()
        self._reader.close()

    def _pool(self) -> ProcessPool:
        pool = ProcessPool(1, context=self._context, initializer=_start_worker, initargs=self._initial)
        self._pools.add(pool)
        return pool

    def _end(self, pool: ProcessPool) -> None:
        pool.stop()  # type: ignore[no-untyped-call]
        pool.join()
        self._pools.remove(pool)

    def _event(self) -> Future[bytes] | bytes:
        """Wait for a report or the end of a call; return a call also if its pool stopped and lost it."""
        while True:
            try:
                return self._events.get(timeout=CHECK)
            except Empty:
                for future, (pool, _) in self._at_work.items():
                    if not pool.active:  # its worker or a thread of it ended while it accepted the call
                        return future

    def _start(self, function: Callable[[Call], Result], calls: Iterator[Call]) -> None:
        while self._idle and (call := next(calls, None)) is not None:
            work = pickle.dumps((function, call))
            pool = self._idle[-1]
            try:
                if not pool.active:  # its worker was killed between two calls
                    self._end(pool)
                    pool = self._idle[-1] = self._pool()
                future = pool.submit(_worked, None, work)
            except BrokenProcessPool as error:
                cause = error.__cause__
                if isinstance(cause, OSError) and (cause.errno in HINTS or isinstance(cause, BrokenPipeError)):
                    raise no_worker(cause) from error
                raise (cause or error) from None
            self._at_work[future] = self._idle.pop(), call
            future.add_done_callback(self._events.put)

    def _result(self, future: Future[bytes]) -> Result | Death:
        error = future.exception() if future.done() else BrokenProcessPool("lost")
        self._has_run = self._has_run or not isinstance(error, BrokenProcessPool)
        if isinstance(error, ProcessExpired):
            return Death(0 if error.exitcode == EXITED else error.exitcode)
        if isinstance(error, BrokenProcessPool):
            if not self._has_run:
                raise no_worker() from error
            return Death(None)
        result: Result = pickle.loads(future.result())
        return result

    def _listen(self) -> None:
        with suppress(EOFError, OSError):  # the last report is incomplete
            while (report := self._reader.recv_bytes()) != LAST:
                self._events.put(report)


def _worked(work: bytes) -> bytes:
    """Call a function in a worker. Bytes, because an object that cannot be unpickled stops the threads of Pebble."""
    try:
        function, call = pickle.loads(work)
        return pickle.dumps(function(call))
    except Exception as error:
        text = traceback.format_exc()
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            raise RuntimeError(f"a worker failed:\n{text}") from None
        raise


def _start_worker(reports: Connection, initializer: Callable[[], None]) -> None:
    global _reports
    _reports = reports
    initializer()
