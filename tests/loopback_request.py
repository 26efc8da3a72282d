"""Requests and responses of the loopback Hub."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from loopback_hub import LoopbackHub


@dataclass
class Answer:
    """A response; `content` is bytes, or a value sent as JSON."""

    status: int = 200
    content: Any = b""
    headers: dict[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        return self.content if isinstance(self.content, bytes) else json.dumps(self.content).encode()


class Request:
    def __init__(self, hub: "LoopbackHub", method: str, path: str, headers: Message, stream: BinaryIO) -> None:
        self.hub, self.method, self.headers, self.stream = hub, method, headers, stream
        parts = urlsplit(path)
        self.raw_path = parts.path
        self.query = {key: values[-1] for key, values in parse_qs(parts.query).items()}

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it arrives."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.stream.readline().split(b";")[0], 16):
                yield self.stream.read(size)
                self.stream.readline()
            self.stream.readline()
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            chunk = self.stream.read(min(left, 1 << 16))
            if not chunk:
                raise ConnectionError("the client went away")
            left -= len(chunk)
            yield chunk

    def json(self) -> Any:
        return json.loads(b"".join(self.chunks()))

    @property
    def user(self) -> str | None:
        """Return the user of the token; None without a token. An invalid token is `refused` earlier."""
        return self.hub.users.get(self.token or "", (None, ""))[0]

    @property
    def token(self) -> str | None:
        given = self.headers.get("Authorization")
        return given.removeprefix("Bearer ") if given else None


View = Callable[..., Answer]
Route = tuple[str, str, View]


def refused(status: int, message: str, code: str = "") -> Answer:
    """Return an error in the headers, where the clients read it."""
    headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
    return Answer(status, {"error": message}, headers)


def ranged(request: Request, content: bytes) -> Answer:
    """Return the content, or the part that a Range header requests."""
    asked = request.headers.get("Range")
    headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
    if asked is None:
        shown = content if request.method == "GET" else b""
        return Answer(200, shown, headers | {"Content-Length": str(len(content))})
    first, last = asked.removeprefix("bytes=").split("-")
    start = int(first) if first else max(len(content) - int(last), 0)
    stop = min(int(last) + 1, len(content)) if first and last else len(content)
    if start >= len(content):
        return Answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
    return Answer(206, content[start:stop], headers | {"Content-Range": f"bytes {start}-{stop - 1}/{len(content)}"})
