"""A Hub for datasets on 127.0.0.1, from the standard library, with injectable faults.

Two origins, as in the real topology: the Hub, and a storage for LFS bytes, accessed by address only. Requests of the
real clients are supported; any other request, and any internal error, is a 501, which no client retries.
"""

import re
import socket
import struct
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from loopback_answers import HUB_ROUTES
from loopback_repos import Blobs, Repo
from loopback_request import Answer, Request, Route
from loopback_storage import STORAGE_ROUTES

TOKEN = "hf_" + "LoopbackTokenOfAliceWhoMayWrite12"  # of no real account
READ_TOKEN = "hf_" + "LoopbackTokenOfBobWhoMayNotWrite1"
BUGS = (ArithmeticError, AssertionError, AttributeError, LookupError, NotImplementedError, TypeError, ValueError)


@dataclass
class Fault:
    """A fault injected instead of, or after, the response to requests of one kind.

    `status`: respond with it; `cut="before"`: close the connection with the request half read; `cut="body"`: close it
    in the middle of the response's body; `cut="reply"`: process the request, but close without a response;
    `cut="answer"`: process the request, but send an unrelated response. `act` is called before that; for
    `cut="reply"`, after it.
    """

    method: str
    pattern: str
    times: int = 1
    skip: int = 0
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    message: str = ""
    cut: str = ""
    act: Callable[[], object] | None = None


class LoopbackHub:
    """The server, a context manager; `endpoint` is its address, `repos` its repositories, `log` its requests."""

    def __init__(self, folder: Path, *, part_bytes: int | None = None, page: int = 1000) -> None:
        self.blobs = Blobs(folder)
        self.xet_folder = folder / "xet"
        self.part_bytes, self.page = part_bytes, page
        self.users = {TOKEN: ("alice", "write"), READ_TOKEN: ("bob", "read")}
        self.repos: dict[str, Repo] = {}
        self.faults: list[Fault] = []
        self.log: list[str] = []  # "PUT /put/..."
        self.problems: list[str] = []  # internal errors of this server
        self.lock = threading.RLock()
        self._servers = [
            _Server(("127.0.0.1", 0), _handler(self, routes, origin))
            for origin, routes in (("hub", HUB_ROUTES), ("storage", STORAGE_ROUTES))
        ]
        self.endpoint, self.storage = (f"http://127.0.0.1:{server.server_address[1]}" for server in self._servers)

    def __enter__(self) -> "LoopbackHub":
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def fail(self, method: str, pattern: str, **kwargs: Any) -> Fault:
        """Inject a fault for requests of `method` whose path contains `pattern`; see `Fault`."""
        self.faults.append(Fault(method, pattern, **kwargs))
        return self.faults[-1]

    def take_fault(self, method: str, path: str) -> Fault | None:
        """Log the request; return the fault that is due for it, and decrement its count."""
        with self.lock:
            self.log.append(f"{method} {path}")
            for fault in self.faults:
                if re.fullmatch(fault.method, method) and re.search(fault.pattern, path):
                    if fault.skip:
                        fault.skip -= 1
                    elif fault.times:
                        fault.times -= 1
                        return fault
        return None

    def asked(self, method: str, pattern: str = "") -> list[str]:
        """Return the requests so far of this method whose path contains `pattern`."""
        return [entry for entry in self.log if entry.startswith(f"{method} ") and re.search(pattern, entry)]

    def wait_for(self, condition: Callable[[], object], *, seconds: float = 30) -> None:
        """Wait until the condition holds; raises AssertionError after a timeout."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.01)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a client that was killed may leave its connection open
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that disconnect early are part of the tests."""


def _handler(hub: LoopbackHub, routes: tuple[Route, ...], origin: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: Any) -> None:
            """Requests are in `hub.log`."""

        def handle_request(self) -> None:
            fault = hub.take_fault(self.command, self.path)
            request = Request(hub, self.command, self.path, self.headers, self.rfile)
            if fault and fault.act and fault.cut != "reply":
                fault.act()
            if fault and fault.cut == "before":
                self.rfile.read(int(self.headers.get("Content-Length") or 0) // 2)
                return self.cut()
            if fault and fault.status:
                headers = {"X-Error-Message": fault.message or f"ordered {fault.status}"} | fault.headers
                self.rfile.read(int(self.headers.get("Content-Length") or 0) if fault.status < 400 else 0)
                return self.send(Answer(fault.status, {"error": headers["X-Error-Message"]}, headers=headers))
            answer = self.answer(request)
            if fault and fault.cut == "reply":
                if fault.act:
                    fault.act()
                return self.cut()
            if fault and fault.cut == "answer":
                return self.send(Answer(200, {"message": "please log in to this network"}))
            return self.send(answer, is_cut=bool(fault) and fault.cut == "body")

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_request

        def answer(self, request: Request) -> Answer:
            try:
                for method, pattern, view in routes:
                    if request.method in method and (match := re.fullmatch(pattern, request.raw_path)):
                        return view(request, *match.groups())
                raise NotImplementedError(f"{origin}: {request.method} {self.path}")
            except BUGS:
                hub.problems.append(traceback.format_exc())
                return Answer(501, {"error": "a bug in the loopback Hub"})

        def send(self, answer: Answer, *, is_cut: bool = False) -> None:
            body = answer.body()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if "Content-Length" not in answer.headers:
                self.send_header("Content-Length", str(len(body)))
            if answer.status >= 400:  # its request's body may be unread
                self.send_header("Connection", "close")
                self.close_connection = True
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body[: len(body) // 2] if is_cut else body)
            if is_cut:
                self.cut()

        def cut(self) -> None:
            self.wfile.flush()
            self.close_connection = True
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
            self.connection.shutdown(socket.SHUT_RDWR)

    return Handler
