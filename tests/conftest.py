"""Fixtures: source trees drawn for the tests, named for their state. No media is kept in git."""

import gc
import hashlib
import os
import shutil
import subprocess
import tempfile

_home = tempfile.TemporaryDirectory(prefix="dvm_hf_tests_")
os.environ |= {"HF_HOME": _home.name, "HF_HUB_OFFLINE": "1"}  # before datasets is imported
os.environ.pop("DVM_DATA_DIR", None)

import importlib.util  # noqa: E402  after the environment is set
from collections.abc import Callable, Generator, Iterator  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import TYPE_CHECKING, Any  # noqa: E402

import numpy as np  # noqa: E402
import pytest  # noqa: E402
from camera_media import draw_camera_media  # noqa: E402
from chromium_browser import chromium as chromium  # noqa: E402  a fixture
from object_store import object_store as object_store  # noqa: E402  a fixture
from object_store import running_store as running_store  # noqa: E402  a fixture
from scheduling import is_real_time  # noqa: E402
from timeline_folder import timelines as timelines  # noqa: E402  a fixture

from dvm_hf.check.check_cache import CheckCache  # noqa: E402
from dvm_hf.check.report import check  # noqa: E402
from dvm_hf.cli import main  # noqa: E402
from dvm_hf.dataset.loading import load_arguments  # noqa: E402
from dvm_hf.media.still.image_encoding import write_image  # noqa: E402
from dvm_hf.media.video.video_writing import write_video  # noqa: E402
from dvm_hf.synthetic.source_tree import draw_sources  # noqa: E402

if TYPE_CHECKING:
    from hub_client import HubClient
    from loopback_hub import LoopbackHub

pytest.register_assert_rewrite("remote_source_tests")

REAL_MEDIA = Path(__file__).resolve().parents[2] / "shared" / "data"


def require_torch(*others: str) -> None:
    """Skip the calling test or module if PyTorch, or a package named here, is missing; never if DVM_REQUIRE_TORCH=1."""
    missing = [name for name in ("torch", *others) if importlib.util.find_spec(name) is None]
    if missing and os.environ.get("DVM_REQUIRE_TORCH") != "1":
        reason = f"needs {' and '.join(missing)}: pip install -e '.[torch,torch-test]'"
        pytest.skip(reason, allow_module_level=True)


def require_ray() -> None:
    """Skip the calling module if Ray is missing; never if DVM_REQUIRE_RAY=1."""
    if importlib.util.find_spec("ray") is None and os.environ.get("DVM_REQUIRE_RAY") != "1":
        pytest.skip("needs Ray: pip install -e '.[ray]'", allow_module_level=True)


def require_s3() -> None:
    """Skip the calling module if s3fs or moto is missing; never if DVM_REQUIRE_S3=1."""
    missing = [name for name in ("s3fs", "moto") if importlib.util.find_spec(name) is None]
    if missing and os.environ.get("DVM_REQUIRE_S3") != "1":
        pytest.skip(f"needs {' and '.join(missing)}: pip install -e '.[s3,s3-test]'", allow_module_level=True)


class TreeWriter:
    """Write a source tree file by file, with pixels that are cheap and easy to distinguish."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def still(
        self, name: str = "disc", *, split: str = "train", size: tuple[int, int] = (48, 40), value: int = 200
    ) -> Path:
        """A soft disc on one colour; returns the colour's path. With a trimap in the split test."""
        folder = self.root / "fg" / "image" / split
        alpha = soft_disc(*size)
        colour = np.full((*size, 3), (value, 90, 30), np.uint8)
        pictures = {"fg": colour, "alpha": alpha}
        if split == "test":
            pictures["trimap"] = np.where(alpha == 255, 255, np.where(alpha == 0, 0, 128)).astype(np.uint8)
        for part, pixels in pictures.items():
            written(folder / part / f"{name}.png", ("still", part, size, value), write_image, pixels)
        return folder / "fg" / f"{name}.png"

    def moving(
        self,
        name: str = "0000",
        *,
        split: str = "train",
        size: tuple[int, int] = (48, 64),
        frames: int = 12,
        alpha_frames: int | None = None,
    ) -> Path:
        """A soft disc on a colour that changes from frame to frame; returns the folder of f.mp4 and a.mp4."""
        folder, count = self.root / "fg" / "video" / split / name, alpha_frames or frames
        colours = (np.full((*size, 3), (40 + 4 * i, 180, 60), np.uint8) for i in range(frames))
        written(folder / "f.mp4", ("colours", size, frames), write_video, colours)
        written(folder / "a.mp4", ("discs", size, count), write_video, (soft_disc(*size) for _ in range(count)))
        return folder

    def background(
        self, name: str = "0000", *, split: str = "train", size: tuple[int, int] = (72, 96), frames: int = 12
    ) -> Path:
        """Write a ramp that gets brighter in every frame; return its path."""
        path = self.root / "bg" / split / f"{name}.mp4"
        ramp = np.add.outer(np.arange(size[0]), np.arange(size[1]))
        ramps = (np.dstack([(ramp + 6 * i) % 256] * 3).astype(np.uint8) for i in range(frames))
        written(path, ("ramps", size, frames), write_video, ramps)
        return path


_written: dict[tuple[Any, ...], bytes] = {}


def written(path: Path, drawing: tuple[Any, ...], write: Callable[[Path, Any], object], pixels: Any) -> None:
    """Write a file, by copying it if this process has encoded the same drawing before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if drawing in _written:
        path.write_bytes(_written[drawing])
    else:
        write(path, pixels)
        _written[drawing] = path.read_bytes()


def soft_disc(height: int, width: int) -> np.ndarray:
    """Alpha (H, W) uint8: 255 at the centre, decreasing to 0 over about 6 px, 0 in the corners."""
    rows, columns = np.ogrid[:height, :width]
    distance = np.hypot(rows - (height - 1) / 2, columns - (width - 1) / 2)
    return np.clip((min(height, width) * 0.4 - distance) * 40 + 128, 0, 255).astype(np.uint8)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage while thousands of test items are made."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the slow tests, those with a longer time limit first: at the end of a run in several processes, only
    short ones are left to share.
    """
    items.sort(key=lambda item: [item.get_closest_marker(name) is None for name in ("timeout", "slow")])


@pytest.fixture(autouse=True)
def _no_real_time_priority() -> Iterator[None]:
    """Fail the test after which this process would starve all others."""
    yield
    assert not is_real_time(), "encode AV1 inside scheduling.kept_scheduling()"


@pytest.fixture
def tree(tmp_path: Path) -> TreeWriter:
    """An empty source tree to write into."""
    return TreeWriter(tmp_path / "DVM")


@pytest.fixture(scope="session")
def training_sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two image and one video foreground over five small backgrounds of 12 frames. Tests must not change it."""
    tree = TreeWriter(tmp_path_factory.mktemp("training") / "DVM")
    for number in range(2):
        tree.still(f"still_{number}", value=120 + 60 * number)
    tree.moving("0000", frames=11)
    for number in range(5):
        tree.background(f"{number:04d}", size=(72 + 6 * number, 96))
    return tree.root


@pytest.fixture(scope="session")
def drawn_sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small version of the demo's tree. Tests must not change it."""
    return draw_sources(tmp_path_factory.mktemp("drawn") / "DVM", scale=0.25)


@pytest.fixture(scope="session")
def camera_media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the real media if this machine has it, otherwise of stand-ins. Tests must not change it."""
    if REAL_MEDIA.is_dir():
        return REAL_MEDIA
    return draw_camera_media(tmp_path_factory.mktemp("camera") / "media")


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Any]:
    """load_dataset of this dataset with a temporary cache: load("test", data_dir=..., streaming=True)."""
    from datasets import load_dataset

    def call(name: str | None = None, **kwargs: Any) -> Any:
        if not kwargs.get("streaming"):
            kwargs.setdefault("cache_dir", str(tmp_path / "cache"))
        return load_dataset(name=name, **load_arguments(), **kwargs)

    return call


FEW_ARGUMENTS = ("--clip-length", "2", "--num-shards", "3")


@pytest.fixture(scope="session")
def few_sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image foreground, a video foreground and two backgrounds of 6 frames per split. Tests must not change it."""
    tree = TreeWriter(tmp_path_factory.mktemp("few") / "DVM")
    for split in ("train", "test"):
        tree.still("disc", split=split, size=(32, 24))
        tree.moving("0000", split=split, size=(32, 48), frames=5)
        for number in range(2):
            tree.background(f"{number:04d}", split=split, size=(40 + 4 * number, 56), frames=6)
    return tree.root


@pytest.fixture(scope="session")
def prepared_once(few_sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`few_sources`, prepared with FEW_ARGUMENTS without faults. Tests must not change it."""
    out = tmp_path_factory.mktemp("prepared") / "out"
    main(["prepare", str(few_sources), str(out), *FEW_ARGUMENTS, "--json"], standalone_mode=False)
    return out


@pytest.fixture
def prepared(prepared_once: Path, tmp_path: Path) -> Path:
    """A copy of `prepared_once` to change."""
    return Path(shutil.copytree(prepared_once, tmp_path / "prepared"))


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in a folder, including hidden ones, by relative path."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def published_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of the files of a prepared folder that belong to the dataset."""
    return {name: sha for name, sha in file_hashes(folder).items() if not name.startswith(".cache/")}


def draw_valid_tree(root: Path) -> Path:
    """Draw both splits with an image foreground, a video foreground and two backgrounds, all files different."""
    tree = TreeWriter(root)
    for split, shift in (("train", 0), ("test", 3)):
        tree.still("disc", split=split, value=200 - shift)
        tree.moving("0000", split=split, frames=12 + shift)
        for number in range(2):
            tree.background(f"{10 * shift + number:04}", split=split, frames=12 + shift + number)
    return root


@pytest.fixture(scope="session")
def valid_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_valid_tree(tmp_path_factory.mktemp("valid") / "DVM")


@pytest.fixture
def root(valid_tree: Path, tmp_path: Path) -> Path:
    """A copy of the valid tree, to damage."""
    return shutil.copytree(valid_tree, tmp_path / "DVM")


@pytest.fixture(scope="session")
def valid_results(valid_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a deep check of the valid tree has cached."""
    cache = CheckCache(tmp_path_factory.mktemp("valid_results"), valid_tree)
    check(valid_tree, configs=[], checked=cache, processes=0)
    return cache.path


@pytest.fixture
def checked_root(root: Path, valid_results: Path) -> Path:
    """`root` after a deep check by `check_runs.looked_at`: the next one decodes only the sources that changed."""
    cached = CheckCache(root.parent / "checked", root).path
    cached.parent.mkdir()
    shutil.copyfile(valid_results, cached)
    return root


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """An in-memory file system with the given options; skips the test if mounting is not allowed."""
    place = tmp_path / "disk"
    place.mkdir()

    def mounted(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("mounting is not allowed here")
        return place

    yield mounted
    if os.path.ismount(place):
        subprocess.run(["umount", str(place)], check=True)


@pytest.fixture(scope="module")
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[LoopbackHub]":
    """A loopback Hub with the HUB_OPTIONS of the test module; no request of the tests may be invalid."""
    from loopback_hub import LoopbackHub

    with LoopbackHub(tmp_path_factory.mktemp("hub"), **request.module.HUB_OPTIONS) as running:
        yield running
        assert running.problems == []


@pytest.fixture(scope="module")
def client(hub: "LoopbackHub", tmp_path_factory: pytest.TempPathFactory) -> "Iterator[HubClient]":
    """The real clients of the Hub, in processes of their own."""
    from hub_client import HubClient
    from loopback_hub import TOKEN

    made = HubClient(hub.endpoint, tmp_path_factory.mktemp("client") / "home", token=TOKEN)
    yield made
    made.close()
    leaked = [path for path in made.home.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert leaked == []  # neither in the output nor in the files of any test here
