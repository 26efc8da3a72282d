"""The loader that most matting code has: folders of JPEG frames, read with OpenCV, cropped, resized and composited.

Foreground, alpha and background are folders of numbered 1080p JPEGs. For each frame of a sample, the three complete
pictures are decoded. A random square of the foreground and its alpha and one of the background are resized to the size
of the sample and composited.
"""

from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

QUALITY = 95


class JpegFolders(Dataset):  # type: ignore[type-arg]
    """Samples of `length` frames, each (T, C, size, size) uint8.

    clips: folders of foreground and alpha of each clip. backgrounds: folders. One sample per clip and background.
    """

    def __init__(self, clips: list[tuple[Path, Path]], backgrounds: list[Path], *, length: int, size: int) -> None:
        self._pairs = [(*clip, background) for clip in clips for background in backgrounds]
        self._length, self._size = length, size

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng(number)
        foreground, alpha, background = (sorted(folder.iterdir()) for folder in self._pairs[number])
        start, behind = (int(rng.integers(len(paths) - self._length + 1)) for paths in (foreground, background))
        places = rng.random(6)
        frames, mattes = [], []
        for index in range(self._length):
            colour = self._square(cv2.imread(str(foreground[start + index]), cv2.IMREAD_COLOR), places[:3])
            matte = self._square(cv2.imread(str(alpha[start + index]), cv2.IMREAD_GRAYSCALE), places[:3])
            scene = self._square(cv2.imread(str(background[behind + index]), cv2.IMREAD_COLOR), places[3:])
            weight = matte[..., None].astype(np.float32) / 255
            composite = (colour * weight + scene * (1 - weight)).round().astype(np.uint8)
            frames.append(cv2.cvtColor(composite, cv2.COLOR_BGR2RGB).transpose(2, 0, 1))
            mattes.append(matte[None])
        return {"frames": torch.from_numpy(np.stack(frames)), "alpha": torch.from_numpy(np.stack(mattes))}

    def _square(self, picture: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Return a square of a half to all of the picture's height, resized."""
        side = round(picture.shape[0] * (1 + places[0]) / 2)
        top, left = (round((full - side) * place) for full, place in zip(picture.shape, places[1:], strict=False))
        part = picture[top : top + side, left : left + side]
        return cv2.resize(part, (self._size, self._size), interpolation=cv2.INTER_AREA)


def write_jpegs(video: Path, folder: Path) -> Path:
    """Write the frames of a video as numbered JPEGs; an alpha as grey pictures."""
    folder.mkdir(parents=True)
    capture = cv2.VideoCapture(str(video))
    for number in range(int(capture.get(cv2.CAP_PROP_FRAME_COUNT))):
        picture = capture.read()[1]
        shown = picture[..., 1] if video.name == "a.mp4" else picture
        cv2.imwrite(str(folder / f"{number:04d}.jpg"), shown, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return folder
