"""Which layout a folder has, by the names in it: look-alikes, their split folders, plug-ins and errors."""

import builtins
import importlib
import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from look_alikes import LOOK_ALIKES, Expected, draw

from dvm_hf.errors import ConfigError, SourceError
from dvm_hf.sources import known_layouts, splits
from dvm_hf.sources.folder_scan import FolderScan
from dvm_hf.sources.known_layouts import TIERS, layout_named, recognized, register_layout
from dvm_hf.sources.layout import Layout, Match, Place
from dvm_hf.sources.records import SPLITS, Background, Foreground

NAMES = (  # of the published contract
    "dvm videomatte240k rvm-backgrounds adobe bg20k videomatting108 fgr-pha image-mask distinctions646 cutouts "
    "alpha-videos videos"
).split()
AMBIGUOUS = {"cutouts": "bg20k", "alpha-videos": "videos", "alpha-frames": "videos"}  # without a role
SPLIT_FOLDERS = {  # of the look-alikes that have splits: the folders of train and test
    "videomatte240k": ("train", "test"),
    "videomatte240k-mp4": ("train", "test"),
    "rvm-backgrounds": ("train", "test"),
    "adobe": ("Training_set", "Test_set"),
    "bg20k": ("train", "testval"),
    "imagematte": ("train", "valid"),
    "am-2k": ("train", "validation"),
    "p3m-10k": ("train", "validation"),
    "transparent-460": ("Train", "Test"),
    "distinctions646": ("Train", "Test"),
    "distinctions646-ori": ("Train_ori", "Test_ori"),
}


def place(root: Path) -> Place:
    return Place(FolderScan(root))


def put(root: Path, *names: str, data: bytes = b"x") -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def role_of(expected: Expected) -> str:
    return "foregrounds" if expected.foregrounds else "backgrounds"


def listed(layout: Layout, where: Place, split: str) -> tuple[list[Foreground], list[Background]]:
    foregrounds = list(layout.foregrounds(where, split)) if layout.foregrounds else []
    return foregrounds, list(layout.backgrounds(where, split)) if layout.backgrounds else []


@pytest.fixture(scope="module")
def look_alike(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """Draws a look-alike once: (its folder, what it contains). Tests must not change it."""
    drawn: dict[str, tuple[Path, Expected]] = {}

    def get(name: str) -> tuple[Path, Expected]:
        if name not in drawn:
            root = tmp_path_factory.mktemp("look_alikes") / "set"
            drawn[name] = root, draw(name, root)
        return drawn[name]

    return get


# What is recognized


def test_the_table_has_the_published_names():
    assert sorted(layout.name for tier in TIERS for layout in tier) == sorted(NAMES)


def test_every_layout_has_a_look_alike(look_alike):
    assert {look_alike(name)[1].layout for name in LOOK_ALIKES} == set(NAMES)


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_a_look_alike_is_recognized_by_its_role(look_alike, name):
    root, expected = look_alike(name)
    layout, reason = recognized(place(root), role=role_of(expected))
    assert layout.name == expected.layout
    assert reason.startswith("contains ")


@pytest.mark.parametrize("name", [name for name in LOOK_ALIKES if name not in AMBIGUOUS])
def test_a_look_alike_is_recognized_without_a_role(look_alike, name):
    root, expected = look_alike(name)
    assert recognized(place(root))[0].name == expected.layout


@pytest.mark.parametrize(("name", "other"), AMBIGUOUS.items())
def test_two_layouts_that_fit_are_an_error(look_alike, name, other):
    root, expected = look_alike(name)
    with pytest.raises(SourceError, match=r"fit equally .* such as layout='") as caught:
        recognized(place(root))
    assert str(caught.value).startswith(f"{root}: ")
    assert {word for word in NAMES if repr(word) in str(caught.value).split("(")[0]} == {expected.layout, other}


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_the_sources_of_a_look_alike_are_found(look_alike, name, split):
    root, expected = look_alike(name)
    where = place(root)
    foregrounds, backgrounds = listed(layout_named(expected.layout), where, split)
    assert [one.name for one in foregrounds] == list(expected.foregrounds.get(split, ()))
    assert [one.name for one in backgrounds] == list(expected.backgrounds.get(split, ()))
    assert (where.scan.problems, where.scan.ignored) == ([], [])
    paths = [one.path for one in backgrounds] + [path for one in foregrounds for path in (one.colour, one.alpha)]
    assert all(path.exists() and path.is_relative_to(root) for path in paths)
    assert {path.relative_to(root).as_posix() for path in paths} <= where.scan.signatures.keys()


@pytest.mark.parametrize(("name", "folders"), SPLIT_FOLDERS.items())
def test_a_split_folder_is_recognized_like_the_set(look_alike, name, folders):
    root, expected = look_alike(name)
    for split, folder in zip(SPLITS, folders, strict=True):
        where = place(root / folder)
        layout, _ = recognized(where, role=role_of(expected))
        assert layout.name == expected.layout
        foregrounds, backgrounds = listed(layout, where, split)
        assert [one.name for one in foregrounds] == list(expected.foregrounds.get(split, ()))
        assert [one.name for one in backgrounds] == list(expected.backgrounds.get(split, ()))
        assert where.scan.problems == []


@pytest.mark.parametrize("name", ["videomatte240k", "bg20k", "adobe", "cutouts"])
def test_a_set_in_a_folder_below_the_root_has_paths_below_it(look_alike, name):
    root, expected = look_alike(name)
    where = Place(FolderScan(root.parent), base=root.name, entry=3)
    layout, _ = recognized(where, role=role_of(expected))
    assert layout.name == expected.layout
    foregrounds, backgrounds = listed(layout, where, "train")
    assert {one.entry for one in (*foregrounds, *backgrounds)} == {3}
    assert all(path.startswith("set/") for path in where.scan.signatures)


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_the_terms_of_a_set_are_those_of_its_source(look_alike, name, tmp_path):
    """layouts.md: composites of these three must not be passed on."""
    root, expected = look_alike(name)
    terms = layout_named(expected.layout).terms_at(place(root))
    assert terms.is_redistributable == (name.split("-")[0] not in ("adobe", "distinctions646", "transparent"))
    assert terms.terms or expected.layout in ("fgr-pha", "image-mask", "cutouts", "alpha-videos", "videos", "bg20k")


@pytest.mark.parametrize(
    ("folder", "word"),
    [("AM-2k", "MIT"), ("P3M-10k", "MIT"), ("AIM-500", "MIT"), ("PPM-100", "BY-NC-SA"), ("am2k/train", "MIT")],
)
def test_the_terms_of_pictures_with_masks_follow_the_folder_name(tmp_path, folder, word):
    put(tmp_path, f"{folder}/original/a.jpg", f"{folder}/mask/a.png")
    terms = layout_named("image-mask").terms_at(place(tmp_path / folder))
    assert word in terms.terms
    assert terms.is_redistributable


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_the_splits_of_a_set_are_known(look_alike, name):
    root, expected = look_alike(name)
    named = expected.foregrounds or expected.backgrounds
    has_splits = named["train"] != named["test"]
    layout = layout_named(expected.layout)
    assert layout.splits_at(place(root)) == (SPLITS if has_splits else ())
    for folder in SPLIT_FOLDERS.get(name, ()):
        assert layout.splits_at(place(root / folder)) == ()


# Which of several wins


def test_clips_of_four_digits_without_the_frames_of_videomatte240k_are_generic(tmp_path):
    for clip in ("0001", "0002"):
        put(tmp_path, *(f"train/{part}/{clip}/{i:04}.png" for part in ("fgr", "pha") for i in range(2)))
    assert recognized(place(tmp_path))[0].name == "fgr-pha"


def test_the_name_of_the_folder_decides_without_splits(tmp_path):
    names = [f"{part}/{clip}.mp4" for part in ("fgr", "pha") for clip in ("0000", "0001")]
    assert recognized(place(put(tmp_path / "VideoMatte240K", *names)))[0].name == "videomatte240k"
    assert recognized(place(put(tmp_path / "mine", *names)))[0].name == "fgr-pha"


def test_named_parts_of_sources_are_not_background_videos(tmp_path):
    """A misspelt pha/ must not turn fgr/ and alphas/ into two videos."""
    put(tmp_path, *(f"{part}/{i:04}.png" for part in ("fgr", "alphas") for i in range(3)))
    with pytest.raises(SourceError, match="looks most like 'fgr-pha'"):
        recognized(place(tmp_path))


def test_one_picture_beside_the_folders_of_a_set_does_not_make_it_a_folder_of_stills(tmp_path):
    put(tmp_path, "preview.jpg", "fg/a.png", "bg/b.mp4")
    assert recognized(place(tmp_path))[0].name == "dvm"


def test_numbered_stills_of_splits_are_not_frames_of_videos(tmp_path):
    put(tmp_path, *(f"{split}/{number:06}.jpg" for split in ("train", "test") for number in range(5)))
    assert recognized(place(tmp_path))[0].name == "bg20k"


def test_stills_as_jpeg_can_only_be_backgrounds(tmp_path):
    put(tmp_path, "a.jpg", "b.jpg")
    assert recognized(place(tmp_path))[0].name == "bg20k"
    with pytest.raises(SourceError, match="has no known layout with foregrounds"):
        recognized(place(tmp_path), role="foregrounds")


def test_the_letter_case_of_split_folders_varies(tmp_path):
    put(tmp_path, "TRAIN/a.jpg", "TestVal/b.jpg")
    layout, _ = recognized(place(tmp_path))
    assert [one.name for one in listed(layout, place(tmp_path), "test")[1]] == ["b"]


# What is not recognized


def test_an_unknown_folder_says_what_it_looks_like_and_what_is_missing(tmp_path):
    put(tmp_path, "FG_done/girl/clip/00000.png", "BG_done/city/00000.jpg", "train_videos.txt")
    with pytest.raises(SourceError) as caught:
        recognized(place(tmp_path))
    text = str(caught.value)
    assert text.startswith(f"{tmp_path}: has no known layout")
    assert "It looks most like 'videomatting108'" in text
    assert "contains FG_done/, BG_done/, train_videos.txt or val_videos.txt, but frame_corr.json is missing" in text


def test_a_folder_above_the_sources_names_those_in_it(tmp_path):
    """The usual mistake with an archive that was unpacked into a folder of its own."""
    put(tmp_path, "DVM/fg/image/train/fg/a.png", "DVM/bg/train/b.mp4", "stills/a.jpg", "texts/a.txt")
    text = r"but folders in it have: DVM/ \('dvm'\), stills/ \('bg20k'\); pass one of them, or list them in a sources"
    with pytest.raises(SourceError, match=rf"^{tmp_path}: has no known layout .*, {text}"):
        recognized(place(tmp_path))
    with pytest.raises(SourceError, match=r"but folders in it have: DVM/ \('dvm'\);"):
        recognized(place(tmp_path), role="foregrounds")
    put(tmp_path / "above", "below/DVM/bg/train/b.mp4")
    with pytest.raises(SourceError, match=r"contains: below/"):
        recognized(place(tmp_path / "above"))


def test_a_folder_like_no_other_says_what_it_contains(tmp_path):
    put(tmp_path, "notes.txt", "data/a.bin")
    with pytest.raises(SourceError, match=r"no known layout .*it contains: data/, notes\.txt.*register a layout"):
        recognized(place(tmp_path))


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ConfigError, match=r"layout='vm240k': not a known layout; .* 'auto' or one of dvm, adobe, "):
        layout_named("vm240k")
    with pytest.raises(ConfigError, match="role='fg': not allowed; role must be one of foregrounds, backgrounds"):
        recognized(place(Path()), role="fg")


# Layouts from outside


def outside(name: str = "studio") -> Layout:
    def match(where: Place) -> Match:
        held = where.folders()
        return Match(tuple(one for one in ("plates",) if one in held), () if "plates" in held else ("plates",))

    def backgrounds(where: Place, split: str) -> list[Background]:
        found = where.scan.media(where.path("plates"), (".mp4",))
        return [Background(one, where.scan.root / path, where.entry) for one, path in sorted(found.items())]

    return Layout(name, "a folder plates/", match, backgrounds=backgrounds)


@pytest.fixture
def no_plug_ins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Layouts that a test registers are gone after it."""
    monkeypatch.setattr(known_layouts, "_registered", {})
    known_layouts._plug_ins.cache_clear()
    yield
    known_layouts._plug_ins.cache_clear()


def plug_in(monkeypatch: pytest.MonkeyPatch, *loaded: object) -> list[str]:
    """Install plug-ins that load these values, or raise these exceptions; returns the list of loads."""
    loads = []

    def entry(number: int, value: object) -> SimpleNamespace:
        def load() -> object:
            loads.append(f"plug{number}")
            if isinstance(value, BaseException):
                raise value
            return value

        return SimpleNamespace(
            name=f"plug{number}", value="studio_sets:LAYOUT", load=load, dist=SimpleNamespace(name="studio-sets")
        )

    def entry_points(*, group: str) -> list[SimpleNamespace]:
        return [entry(*one) for one in enumerate(loaded)] if group == "dvm_hf.layouts" else []

    monkeypatch.setattr(known_layouts, "entry_points", entry_points)
    return loads


@pytest.mark.usefixtures("no_plug_ins")
def test_a_registered_layout_is_recognized_and_named(tmp_path):
    put(tmp_path, "plates/a.mp4", "plates/b.mp4")
    register_layout(layout := outside())
    register_layout(layout)  # a second time, as when a module is imported again
    assert layout_named("studio") is layout
    assert recognized(place(tmp_path)) == (layout, "contains plates")
    assert [one.name for one in listed(layout, place(tmp_path), "train")[1]] == ["a", "b"]


@pytest.mark.usefixtures("no_plug_ins")
@pytest.mark.parametrize("name", ["dvm", "studio"])
def test_two_layouts_cannot_have_one_name(name):
    register_layout(outside())
    with pytest.raises(ConfigError, match=f"there is already a layout '{name}'; use another name"):
        register_layout(outside(name))


@pytest.mark.usefixtures("no_plug_ins")
def test_a_layout_lists_something():
    with pytest.raises(ConfigError, match="lists neither foregrounds nor backgrounds"):
        register_layout(Layout("void", "nothing", lambda where: Match((), ())))


@pytest.mark.usefixtures("no_plug_ins")
def test_plug_ins_are_loaded_once(monkeypatch, tmp_path):
    loads = plug_in(monkeypatch, layout := outside())
    put(tmp_path, "plates/a.mp4")
    assert recognized(place(tmp_path))[0] is layout
    assert layout_named("studio") is layout
    assert loads == ["plug0"]


@pytest.mark.usefixtures("no_plug_ins")
@pytest.mark.parametrize(
    ("loaded", "text"),
    [
        (
            ModuleNotFoundError("No module named 'studio_sets'"),
            "cannot be loaded (ModuleNotFoundError: No module named",
        ),
        (ZeroDivisionError("division"), "cannot be loaded (ZeroDivisionError: division)"),
        ("LAYOUT", "is of the type str, but must be a Layout"),
    ],
)
def test_a_broken_plug_in_is_one_error(monkeypatch, tmp_path, loaded, text):
    plug_in(monkeypatch, loaded)
    for call in (lambda: layout_named("dvm"), lambda: recognized(place(tmp_path))):
        with pytest.raises(ConfigError) as caught:
            call()
        assert text in str(caught.value)
        assert str(caught.value).startswith("dvm_hf.layouts plug0 = studio_sets:LAYOUT of the package studio-sets: ")
        assert str(caught.value).endswith("; update or uninstall it")


@pytest.mark.usefixtures("no_plug_ins")
def test_a_plug_in_is_found_by_its_metadata(monkeypatch, tmp_path):
    """An installed package is a folder of metadata beside a module."""
    put(
        tmp_path,
        "studio_sets-1.0.dist-info/METADATA",
        data=b"Metadata-Version: 2.1\nName: studio-sets\nVersion: 1.0\n",
    )
    put(
        tmp_path,
        "studio_sets-1.0.dist-info/entry_points.txt",
        data=b"[dvm_hf.layouts]\nstudio = studio_sets:LAYOUT\n",
    )
    module = (
        b"from dvm_hf import Layout, Match\n"
        b"LAYOUT = Layout('studio', 'plates', lambda place: Match((), ('plates',)), backgrounds=lambda *_: [])\n"
    )
    put(tmp_path, "studio_sets.py", data=module)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    assert layout_named("studio").description == "plates"


# What a scan opens


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_nothing_but_lists_is_opened(look_alike, name, monkeypatch):
    root, expected = look_alike(name)
    opened = []

    def spied(path: object, *args: object, **kwargs: object) -> object:
        opened.append(str(path))
        return real(path, *args, **kwargs)

    real = io.open
    monkeypatch.setattr(builtins, "open", spied)
    monkeypatch.setattr(io, "open", spied)
    where = place(root)
    layout, _ = recognized(where, role=role_of(expected))
    for split in SPLITS:
        listed(layout, where, split)
    monkeypatch.undo()
    names = {Path(path).name for path in opened if path.startswith(str(root))}
    lists = {
        "adobe": {"training_fg_names.txt", "test_fg_names.txt"},
        "videomatting108": {"frame_corr.json", "train_videos.txt", "val_videos.txt"},
    }
    assert names == lists.get(name, set())


# The page


PAGE = (Path(__file__).parents[2] / "docs/layouts.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| `")]


def test_the_page_has_the_table_of_layouts():
    layouts = {layout.name: layout for tier in TIERS for layout in tier}
    assert sorted(name for name, *_ in ROWS) == sorted(f"`{name}`" for name in layouts)
    for name, contains, _, colours, terms in ROWS:
        layout = layouts[name.strip("`")]
        roles = {"foregrounds": layout.foregrounds is not None, "backgrounds": layout.backgrounds is not None}
        assert {role for role, is_there in roles.items() if is_there} == {
            *(("foregrounds", "backgrounds") if contains == "both" else (contains,))
        }
        assert colours.startswith("estimated") == (layout.colours == "estimate")
        assert ("**no redistribution**" in terms) == (not layout.is_redistributable or layout.name == "image-mask")


def test_the_page_names_the_folders_of_splits():
    for folder in (folder for folders in splits.SPLIT_FOLDERS.values() for folder in folders):
        assert f"`{folder}`" in PAGE.lower()
