"""The predicted mattes of one clip: numbered pictures, a video, or rows with the column alpha."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import pyarrow as pa
import xxhash
from PIL import Image

from dvm_hf.dataset.stored_rows import StoredRow
from dvm_hf.errors import MachineError, PredictionError, SourceError
from dvm_hf.media.pixels import Box, Pixels, Size
from dvm_hf.media.still.still_headers import still_header
from dvm_hf.media.still.stills import read_grey
from dvm_hf.media.video.videos import Video
from dvm_hf.wording import counted

COLOURFUL = 16  # levels between the channels of a pixel, above those that a lossy encoding of grey has
GREY, BITS = "L", 8


@dataclass(frozen=True)
class Tolerance:
    """What is accepted of predictions. resize: another size, which is scaled. converts: other than 8-bit grey."""

    resizes: bool = False
    converts: bool = False


STRICT = Tolerance()


class PredictedClip(Protocol):
    """The prediction of one clip."""

    @property
    def place(self) -> str:
        """Where it is, for messages."""

    @property
    def instances(self) -> tuple["PredictedClip", ...]:
        """The predictions of its single foregrounds, from back to front; () if there are none."""

    @property
    def stored(self) -> tuple["PredictedClip", ...]:
        """What is stored by itself: the predictions of its foregrounds, or the clip."""

    def indices(self, wanted: Sequence[int]) -> set[int]:
        """Return the frames that it has. wanted: those of the reference, in order; a video has only an order."""

    def repeated(self) -> list[int]:
        """Return the frames of which it has several predictions; the first one is used."""

    def faults(self, size: Size, tolerance: Tolerance) -> Iterator[str]:
        """Yield what its headers show to be wrong, if the reference has this size."""

    def mattes(self, wanted: Sequence[int], positions: Sequence[int], tolerance: Tolerance) -> Iterator[Pixels]:
        """Yield the mattes (H, W) of some frames, in their stored size.

        positions: of these frames among those of the reference. Raises SourceError or PredictionError.
        """

    def digest(self) -> str:
        """Return a hash of its content."""


@dataclass(frozen=True)
class PictureFolder:
    """A folder of numbered pictures. files: by number."""

    folder: Path
    files: Mapping[int, Path]

    instances = ()

    @property
    def place(self) -> str:
        return str(self.folder)

    @property
    def stored(self) -> tuple[PredictedClip, ...]:
        return (self,)

    def indices(self, wanted: Sequence[int]) -> set[int]:
        return set(self.files)

    def repeated(self) -> list[int]:
        return []

    def faults(self, size: Size, tolerance: Tolerance) -> Iterator[str]:
        found: dict[str, list[str]] = {}
        for path in self.files.values():
            try:
                header = still_header(path)
            except MachineError:
                raise
            except SourceError as error:
                yield str(error)
                continue
            for fault in _picture_faults(header.mode, header.bits, header.size, size, tolerance):
                found.setdefault(fault, []).append(path.name)
        for fault, names in found.items():
            others = f" and {counted(len(names) - 1, 'other')}" if len(names) > 1 else ""
            yield f"{self.folder}: {names[0]}{others}: {fault}"

    def mattes(self, wanted: Sequence[int], positions: Sequence[int], tolerance: Tolerance) -> Iterator[Pixels]:
        return (read_grey(self.files[index]) for index in wanted)

    def digest(self) -> str:
        content = xxhash.xxh3_128()
        for index in sorted(self.files):
            content.update(f"{index} ".encode())
            content.update(self.files[index].read_bytes())
        return content.hexdigest()


@dataclass(frozen=True)
class VideoFile:
    """A video, whose frames belong to those of the reference in order."""

    path: Path

    instances = ()

    @property
    def place(self) -> str:
        return str(self.path)

    @property
    def stored(self) -> tuple[PredictedClip, ...]:
        return (self,)

    @cached_property
    def _facts(self) -> tuple[int, Size, int, bool]:
        """Number of frames, size, bits, and whether the first frame is in colour."""
        with Video(self.path, role="alpha") as video:
            _, first = next(video.pictures([0]))
            rgb = first.rgb(Box(0, 0, *video.size))
            spread = cv2.subtract(rgb.max(axis=2), rgb.min(axis=2))
            is_colourful = not video.reads_alpha_channel and int(spread.max()) > COLOURFUL
            return video.frame_count, video.size, first.bits, is_colourful

    def indices(self, wanted: Sequence[int]) -> set[int]:
        frames = self._facts[0]
        beyond = range(frames - len(wanted)) if frames > len(wanted) else ()
        return {*wanted[:frames], *((wanted[-1] if wanted else -1) + 1 + number for number in beyond)}

    def repeated(self) -> list[int]:
        return []

    def faults(self, size: Size, tolerance: Tolerance) -> Iterator[str]:
        _, found, bits, is_colourful = self._facts
        mode = "RGB" if is_colourful else GREY
        for fault in _picture_faults(mode, bits, found, size, tolerance):
            yield f"{self.path}: {fault}"

    def mattes(self, wanted: Sequence[int], positions: Sequence[int], tolerance: Tolerance) -> Iterator[Pixels]:
        with Video(self.path, role="alpha") as video:
            found = 0
            for _, alpha in video.alphas(positions):
                found += 1
                yield alpha
        if found < len(positions):
            raise SourceError(f"{self.path}: frame {positions[found]} cannot be decoded; replace the file")

    def digest(self) -> str:
        content = xxhash.xxh3_128()
        with self.path.open("rb") as file:
            while part := file.read(1 << 20):
                content.update(part)
        return content.hexdigest()


@dataclass(frozen=True)
class PredictedRows:
    """Rows with the column alpha, by the index of their first frame.

    step: between two frames of a row. column: the pictures to measure, `alpha` or those of a foreground.
    """

    rows: tuple[StoredRow, ...]
    step: int = 1
    column: str = "alpha"

    @property
    def place(self) -> str:
        return self.rows[0].file

    @cached_property
    def instances(self) -> tuple[PredictedClip, ...]:
        names = self.rows[0].instances if self.column == "alpha" else ()
        return tuple(PredictedRows(self.rows, self.step, name) for name in names)

    @property
    def stored(self) -> tuple[PredictedClip, ...]:
        return (self,)

    @cached_property
    def _frames(self) -> dict[int, list[tuple[StoredRow, int]]]:
        found: dict[int, list[tuple[StoredRow, int]]] = {}
        for row in self.rows:
            for number in range(row.frames):
                index = int(row.facts.get("start") or 0) + number * self.step
                found.setdefault(index, []).append((row, number))
        return found

    def indices(self, wanted: Sequence[int]) -> set[int]:
        return set(self._frames)

    def repeated(self) -> list[int]:
        return sorted(index for index, rows in self._frames.items() if len(rows) > 1)

    def faults(self, size: Size, tolerance: Tolerance) -> Iterator[str]:
        return iter(())  # their headers are within the rows; `mattes` raises the errors

    def mattes(self, wanted: Sequence[int], positions: Sequence[int], tolerance: Tolerance) -> Iterator[Pixels]:
        current, images = None, None
        for index in wanted:
            row, number = self._frames[index][0]
            if row is not current:
                if self.column not in row.table([self.column]).schema.names:
                    raise PredictionError(
                        f"{row.file}: {row.name} has no {self.column}, but other rows of the clip have; store a matte "
                        "for each foreground in every row"
                    )
                current, images = row, row.images([self.column])
                if not tolerance.converts:
                    _require_grey(row, self.column)
            assert images is not None
            try:
                yield images.image(self.column, number)
            except MachineError:
                raise
            except SourceError as error:
                raise PredictionError(f"{row.file}: {error}") from error

    def digest(self) -> str:
        content = xxhash.xxh3_128()
        for row in self.rows:
            content.update(f"{row.facts.get('start')} ".encode())
            content.update(row_bytes(row, [self.column]))
        return content.hexdigest()


def row_bytes(row: StoredRow, columns: Sequence[str]) -> bytes:
    """Return the content of some image columns of a row."""
    sink = pa.BufferOutputStream()
    table = row.table(columns).select(columns)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _require_grey(row: StoredRow, column: str) -> None:
    """Raise PredictionError for a picture of a row that is not 8-bit grey."""
    values = row.table([column])[column].chunk(0)
    if isinstance(values, pa.ExtensionArray) or not pa.types.is_list(values.type):
        return
    if not pa.types.is_struct(values.type.value_type):
        return
    for number, image in enumerate(values[0].as_py()):
        data = image and (image["bytes"] or image["path"])
        try:
            with Image.open(io.BytesIO(data) if isinstance(data, bytes) else data or io.BytesIO()) as picture:
                mode, bits = picture.mode, 16 if picture.mode.startswith("I") else 8
        except OSError:
            continue  # `RowImages` raises the error of a picture that is null or cannot be decoded
        for fault in _form_faults(mode, bits, STRICT):
            raise PredictionError(f"{row.file}: {row.name}, frame {number} of the row: {fault}")


def _picture_faults(mode: str, bits: int, found: Size, size: Size, tolerance: Tolerance) -> Iterator[str]:
    yield from _form_faults(mode, bits, tolerance)
    if found != size and not tolerance.resizes:
        yield size_fault(found, size)


def _form_faults(mode: str, bits: int, tolerance: Tolerance) -> Iterator[str]:
    if tolerance.converts:
        return
    if bits != BITS:
        yield f"has {bits} bits per channel, but must have 8; pass --convert to round to 8 bits"
    elif mode != GREY:
        yield f"has the channels {mode}, but must be grey; pass --convert to read its alpha channel or its luma"


def size_fault(found: Size, size: Size) -> str:
    return f"is {found}, but the reference is {size}; pass --resize to scale it"


def resized(matte: Pixels, size: Size) -> Pixels:
    """Return a matte in another size: averaged if it is reduced, interpolated bilinearly if it is enlarged."""
    if matte.shape == size:
        return matte
    is_reduced = size.height * size.width < matte.size
    interpolation = cv2.INTER_AREA if is_reduced else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(matte, (size.width, size.height), interpolation=interpolation), np.uint8)


def require_matte(matte: Any, size: Size, name: str, tolerance: Tolerance) -> Pixels:
    """Return a matte in the size of the reference. Raises PredictionError if it has another one and must not."""
    if matte.ndim != 2:
        raise PredictionError(f"{name}: has the shape {matte.shape}, but must be (height, width); store alpha only")
    found = Size(*matte.shape)
    if found != size and not tolerance.resizes:
        raise PredictionError(f"{name}: {size_fault(found, size)}")
    return resized(matte, size)
