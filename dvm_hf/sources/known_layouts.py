"""The table of known layouts: built in, registered by a program, or of installed plug-ins; and which one a folder has.

A plug-in is an installed package with an entry point of the group `dvm_hf.layouts` whose value is a `Layout`.
"""

from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from dvm_hf.errors import ConfigError, SourceError
from dvm_hf.sources.layout import Layout, Match, Place
from dvm_hf.sources.layouts import (
    adobe,
    alpha_videos,
    bg20k,
    cutouts,
    distinctions646,
    dvm,
    fgr_pha,
    image_mask,
    rvm_backgrounds,
    videomatte240k,
    videomatting108,
    videos,
)
from dvm_hf.sources.names import printable
from dvm_hf.sources.records import ROLES
from dvm_hf.sources.remote.source_files import address_or_path

PLUG_INS = "dvm_hf.layouts"  # group of entry points
# A folder has the layout of the first tier that fits. Two layouts of one tier that fit are an error.
TIERS: tuple[tuple[Layout, ...], ...] = (
    (  # certain by their names; registered layouts and plug-ins belong to this tier, too
        dvm.LAYOUT,
        adobe.LAYOUT,
        videomatting108.LAYOUT,
        videomatte240k.LAYOUT,
        distinctions646.LAYOUT,
        rvm_backgrounds.LAYOUT,
    ),
    (fgr_pha.LAYOUT, image_mask.LAYOUT),  # colour and alpha in parallel folders
    (bg20k.LAYOUT, cutouts.LAYOUT, alpha_videos.LAYOUT, videos.LAYOUT),  # plain files; often the role decides
)
PREPARED = frozenset({"data", "shards"}), frozenset({"plan", "manifest.json"})  # names in a folder of dvm prepare
INNER = 8  # folders that are looked into if a folder has no layout itself
BUILT_IN = {layout.name: layout for tier in TIERS for layout in tier}
_registered: dict[str, Layout] = {}


def register_layout(layout: Layout) -> None:
    """Add a layout to the table, for this process. Raises ConfigError if another layout has its name."""
    _add(layout, _registered, origin="register_layout")


def known_layouts() -> dict[str, Layout]:
    """Return all layouts by name. Raises ConfigError if a plug-in cannot be loaded."""
    return BUILT_IN | _outside()


def layout_named(name: str) -> Layout:
    """Return a layout. Raises ConfigError if there is none of this name."""
    known = known_layouts()
    if name not in known:
        raise ConfigError(f"layout={name!r}: not a known layout; layout must be 'auto' or one of {', '.join(known)}")
    return known[name]


def recognized(place: Place, *, role: str | None = None) -> tuple[Layout, str]:
    """Return the layout of a folder, and the reason: what the folder contains of it.

    role: "foregrounds" or "backgrounds" allows only layouts that have them.
    Raises SourceError if no layout fits, with the one that fits best, or if several layouts of one tier fit.
    """
    for tier in _tiers():
        if tier is TIERS[1] and _is_prepared(place):  # its picture for the card is no background
            raise SourceError(
                f"{_folder(place)}: was built by dvm prepare, and contains no sources; pass a source folder. dvm "
                "digest, evaluate, preview, push and verify read prepared folders"
            )
        matches = {layout.name: (layout, layout.match(place)) for layout in tier if _has_role(layout, role)}
        fitting = [(layout, match) for layout, match in matches.values() if match.fits]
        if len(fitting) == 1:
            layout, match = fitting[0]
            return layout, f"contains {_shown(match.found)}"
        if fitting:
            raise SourceError(_ambiguity(place, fitting))
    raise SourceError(_unknown(place, role))


def _is_prepared(place: Place) -> bool:
    """Return whether dvm prepare built a folder, of which the plan or the manifest may be missing."""
    needed, either = PREPARED
    folders = set(place.folders())
    return needed <= folders and not either.isdisjoint(folders | set(place.files()))


def closest(place: Place, *, role: str | None = None) -> tuple[Layout, Match] | None:
    """Return the layout of which a folder has most parts, although it does not fit; None if it has no part of any."""
    matches = [(layout, layout.match(place)) for tier in _tiers() for layout in tier if _has_role(layout, role)]
    partial = [both for both in matches if both[1].found]
    return max(partial, key=lambda both: (len(both[1].found), -len(both[1].missing)), default=None)


def contents(place: Place) -> str:
    """Return the names in a folder for an error: the first of them."""
    names = [*(f"{name}/" for name in place.folders()), *place.files()]
    return _shown(tuple(names)) or "nothing"


def _tiers() -> Iterator[tuple[Layout, ...]]:
    yield (*TIERS[0], *_outside().values())
    yield from TIERS[1:]


def _outside() -> dict[str, Layout]:
    """Return the layouts that are not built in."""
    found = dict(_plug_ins())
    for layout in _registered.values():
        _add(layout, found, origin="register_layout")
    return found


def _has_role(layout: Layout, role: str | None) -> bool:
    if role is not None and role not in ROLES:
        raise ConfigError(f"role={role!r}: not allowed; role must be one of {', '.join(ROLES)}")
    return role is None or getattr(layout, role) is not None


def _ambiguity(place: Place, fitting: list[tuple[Layout, Match]]) -> str:
    *others, last = (repr(layout.name) for layout, _ in fitting)
    first = fitting[0][0].name
    reasons = "; ".join(f"{layout.name}: {_shown(match.found)}" for layout, match in fitting)
    is_tree = any(layout.foregrounds and layout.backgrounds for layout, _ in fitting)
    file = "" if is_tree else ", or list the folder in a sources file (.yaml), whose entries have a role and a layout"
    return (
        f"{_folder(place)}: the layouts {', '.join(others)} and {last} fit equally ({reasons}); pass the right one, "
        f"such as layout={first!r}{file}. Stills and videos belong in separate folders"
    )


def _unknown(place: Place, role: str | None) -> str:
    near = closest(place, role=role)
    allowed = ", ".join(layout.name for tier in _tiers() for layout in tier if _has_role(layout, role))
    sources = role or "foregrounds or backgrounds"
    inner = _inner_layouts(place, role) if near is None else ()
    if inner:
        return (
            f"{_folder(place)}: has no known layout with {sources}, but folders in it have: {_shown(inner)}; pass one "
            "of them, or list them in a sources file (.yaml), which `dvm init` writes"
        )
    if near is None:
        return (
            f"{_folder(place)}: has no known layout with {sources} (it contains: {contents(place)}); arrange the files "
            f"as in one of the layouts {allowed}, or register a layout for them"
        )
    layout, match = near
    return (
        f"{_folder(place)}: has no known layout with {sources}. It looks most like {layout.name!r} "
        f"({layout.description}): it contains {_shown(match.found)}, but {_shown(match.missing)} is missing; add it, "
        f"or pass another layout=NAME, one of {allowed}"
    )


def _inner_layouts(place: Place, role: str | None) -> tuple[str, ...]:
    """Return the first folders that have a layout, and its name; an archive may have been unpacked into one of them."""
    names = place.folders()[:INNER]
    found = {name: _only_fit(Place(place.scan, place.path(name)), role) for name in names}
    return tuple(f"{name}/ ({layout.name!r})" for name, layout in found.items() if layout is not None)


def _only_fit(place: Place, role: str | None) -> Layout | None:
    for tier in _tiers():
        fitting = [layout for layout in tier if _has_role(layout, role) and layout.match(place).fits]
        if fitting:
            return fitting[0] if len(fitting) == 1 else None
    return None


def _folder(place: Place) -> str:
    path = place.scan.root if place.base == "." else place.scan.root / place.base
    return printable(address_or_path(path))


def _shown(names: tuple[str, ...], most: int = 8) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return printable(", ".join(names[:most]) + more)


@cache
def _plug_ins() -> dict[str, Layout]:
    """Return the layouts of installed packages, loaded once in a process."""
    found: dict[str, Layout] = {}
    for plug_in in sorted(entry_points(group=PLUG_INS), key=lambda one: (one.name, one.value)):
        _add(_loaded(plug_in), found, origin=_origin(plug_in))
    return found


def _loaded(plug_in: EntryPoint) -> Layout:
    load: Callable[[], object] = plug_in.load
    try:
        layout = load()
    except Exception as error:  # a plug-in can fail in any way
        raise ConfigError(
            f"{_origin(plug_in)}: the plug-in cannot be loaded ({type(error).__name__}: {error}); update or "
            "uninstall it"
        ) from error
    if not isinstance(layout, Layout):
        raise ConfigError(
            f"{_origin(plug_in)}: the plug-in is of the type {type(layout).__name__}, but must be a Layout; update or "
            "uninstall it"
        )
    return layout


def _origin(plug_in: EntryPoint) -> str:
    package = f" of the package {plug_in.dist.name}" if plug_in.dist else ""
    return f"{PLUG_INS} {plug_in.name} = {plug_in.value}{package}"


def _add(layout: Layout, table: dict[str, Layout], *, origin: str) -> None:
    if (BUILT_IN | table).get(layout.name, layout) is not layout:
        raise ConfigError(f"{origin}: there is already a layout {layout.name!r}; use another name")
    if layout.foregrounds is None and layout.backgrounds is None:
        raise ConfigError(f"{origin}: the layout {layout.name!r} lists neither foregrounds nor backgrounds; add one")
    table[layout.name] = layout
