"""The second origin of the loopback Hub: LFS bytes, uploaded and downloaded by address."""

from loopback_request import Answer, Request, Route, View, ranged, refused


def by_address(view: View) -> View:
    """The storage has no accounts: a token that arrives here has leaked."""

    def answer(request: Request, *names: str) -> Answer:
        if request.headers.get("Authorization"):
            return refused(400, "Only one auth mechanism allowed")
        return view(request, *names)

    return answer


@by_address
def put(request: Request, oid: str) -> Answer:
    is_whole = request.hub.blobs.receive(oid, request.chunks())
    return Answer(200, b"", {"ETag": f'"{oid}"'}) if is_whole else refused(400, "sha256 differs")


@by_address
def put_part(request: Request, oid: str, number: str) -> Answer:
    part = request.hub.blobs.folder / f".part-{oid}-{int(number):05d}"
    part.write_bytes(b"".join(request.chunks()))
    return Answer(200, b"", {"ETag": f'"{number}"'})


@by_address
def complete(request: Request, oid: str) -> Answer:
    numbers = [part["partNumber"] for part in request.json()["parts"]]
    parts = [request.hub.blobs.folder / f".part-{oid}-{number:05d}" for number in numbers]
    is_whole = request.hub.blobs.receive(oid, (part.read_bytes() for part in parts))
    for part in parts:
        part.unlink()
    return Answer() if is_whole else refused(400, "sha256 differs")


@by_address
def get(request: Request, oid: str) -> Answer:
    return ranged(request, request.hub.blobs.path(oid).read_bytes())


STORAGE_ROUTES: tuple[Route, ...] = (
    ("PUT", "/put/([0-9a-f]{64})", put),
    ("PUT", "/part/([0-9a-f]{64})/([0-9]+)", put_part),
    ("POST", "/complete/([0-9a-f]{64})", complete),
    ("GET HEAD", "/get/([0-9a-f]{64})", get),
)
