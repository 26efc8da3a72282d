"""Find the predicted mattes of each clip.

CLIP_ID/00000.png, CLIP_ID/00001.png ...   8-bit grey, numbered by the frame's index in its clip
CLIP_ID.mp4                                its frames in order
CLIP_ID/0/00000.png, CLIP_ID/0.mp4         the same for each foreground of a clip with several
*.parquet, hf://datasets/USER/NAME         rows with clip_id, start and alpha, and instances if they have them
"""

from collections.abc import Sequence
from pathlib import Path

from dvm_hf.dataset.row_sources import has_parquet, readable, row_source
from dvm_hf.dataset.stored_rows import StoredRow, planned_fields, stored_files, stored_rows
from dvm_hf.errors import PredictionError, SourceError
from dvm_hf.evaluation.instance_clips import SeparateInstances
from dvm_hf.evaluation.predicted_clips import PictureFolder, PredictedClip, PredictedRows, VideoFile
from dvm_hf.sources.folder_scan import VIDEO_SUFFIXES
from dvm_hf.wording import counted

ALLOWED = (
    "a folder with CLIP_ID/00000.png or CLIP_ID.mp4, Parquet with clip_id, start and alpha, or a dataset on the Hub as "
    "hf://datasets/user/name"
)
HIDDEN = (".", "~$", "__MACOSX", "Thumbs.db", "desktop.ini")  # how names begin that systems write
SHOWN = 50  # problems that an error lists


def listed(faults: Sequence[str]) -> str:
    """Return the text of an error with one line for each problem."""
    more = [f"and {counted(len(faults) - SHOWN, 'more problem')}"] if len(faults) > SHOWN else []
    if len(faults) == 1:
        return faults[0]
    return "\n  ".join([f"{counted(len(faults), 'problem')} of the predictions:", *faults[:SHOWN], *more])


def predictions(name: str) -> dict[str, PredictedClip]:
    """Return the predicted clips by clip_id.

    name: a folder with pictures or videos, a Parquet file or a folder of them, or a dataset on the Hub. Raises
    SourceError if it cannot be read, and PredictionError for files that are not predictions.
    """
    path = Path(name).expanduser()
    if path.is_file():
        if path.suffix != ".parquet":
            raise SourceError(f"{name}: is a {path.suffix or 'file'}, but predictions must be {ALLOWED}")
        return _of_rows([str(path)])
    if path.is_dir() and not has_parquet(path):
        return _of_folder(path)
    if not path.exists() and "://" not in name:
        raise SourceError(f"{name}: no such file or folder; pass {ALLOWED}")
    with readable(name):
        source = row_source(name, fields={})
        return _of_rows(stored_files(source, config=None, split=None, default="test"))


def _of_rows(files: Sequence[str]) -> dict[str, PredictedClip]:
    rows: dict[str, list[StoredRow]] = {}
    for row in stored_rows(files, counted="alpha"):
        rows.setdefault(row.facts["clip_id"], []).append(row)
    step = int(planned_fields(files).get("frame_step") or 1)
    return {name: PredictedRows(tuple(of_clip), step) for name, of_clip in rows.items()}


def _of_folder(folder: Path) -> dict[str, PredictedClip]:
    found: dict[str, PredictedClip] = {}
    faults = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(HIDDEN):
            continue
        is_video = path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()
        if not path.is_dir() and not is_video:
            faults.append(f"{path}: is neither a folder of pictures nor a video; remove it")
            continue
        name = path.stem if is_video else path.name
        if name in found:
            faults.append(f"{path}: {found[name].place} is a prediction of the same clip; remove one of them")
        elif is_video:
            found[name] = VideoFile(path)
        else:
            found[name] = _of_clip(path, faults)
    if faults:
        raise PredictionError(listed(faults))
    return found


def _of_clip(folder: Path, faults: list[str]) -> PredictedClip:
    """Return the prediction in the folder of a clip, and add what is wrong with it to the faults."""
    parts: dict[int, Path] = {}
    pictures = []
    for path in sorted(folder.iterdir()):
        number = path.stem if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file() else path.name
        if path.name.startswith(HIDDEN):
            continue
        if not number.isdecimal() or (number == path.name and not path.is_dir()):
            pictures.append(path)
        elif int(number) in parts:
            faults.append(f"{path}: {parts[int(number)].name} has the same number; remove one of them")
        else:
            parts[int(number)] = path
    if parts and pictures:
        faults.append(
            f"{folder}: has {pictures[0].name} beside {min(parts.values()).name}, which is a single foreground; keep "
            "either pictures of the clip or one folder for each foreground"
        )
        return PictureFolder(folder, {})
    if parts:
        if sorted(parts) != list(range(len(parts))):
            found = ", ".join(parts[number].name for number in sorted(parts))
            faults.append(f"{folder}: has the foregrounds {found}, but they must be numbered from 0; rename them")
        instances = (_pictures(path, faults) if path.is_dir() else VideoFile(path) for _, path in sorted(parts.items()))
        return SeparateInstances(str(folder), tuple(instances))
    return _pictures(folder, faults)


def _pictures(folder: Path, faults: list[str]) -> PictureFolder:
    files, unexpected = _numbered(folder)
    faults += unexpected
    return PictureFolder(folder, files)


def _numbered(folder: Path) -> tuple[dict[int, Path], list[str]]:
    """Return the pictures of a clip by number, and a text for each other file."""
    files: dict[int, Path] = {}
    faults = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(HIDDEN):
            continue
        if path.suffix.lower() != ".png" or not path.stem.isdecimal():
            faults.append(f"{path}: is not named like 00000.png, the number of a frame; rename or remove it")
        elif not path.is_file():  # for example a pipe, which can be opened but never ends
            faults.append(f"{path}: is not an existing file; replace or remove it")
        elif int(path.stem) in files:
            faults.append(f"{path}: {files[int(path.stem)].name} has the same number; remove one of them")
        else:
            files[int(path.stem)] = path
    return files, faults
