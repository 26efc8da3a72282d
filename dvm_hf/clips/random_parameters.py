"""The random parameters of a clip, drawn before any frame is rendered."""

from dataclasses import dataclass

from dvm_hf.clips.appearance.random_appearance import CameraParameters, LightParameters
from dvm_hf.clips.motion import Placement
from dvm_hf.clips.moving.playback import Playback
from dvm_hf.clips.trimap import Band


@dataclass(frozen=True)
class Timing:
    """Which frames of the sources a clip shows. shown: by frame of the clip, the one that is shown; see `pauses`."""

    foreground: Playback
    background: Playback
    shown: tuple[int, ...]

    def foreground_frames(self, available: int) -> tuple[int, ...]:
        """Return, by frame of the clip, the frame of a foreground with `available` frames."""
        return self.foreground.frames(self.shown, available=available)

    def background_frames(self, available: int) -> tuple[int, ...]:
        """Return, by frame of the clip, the frame of a background with `available` frames."""
        return self.background.frames(self.shown, available=available)


@dataclass(frozen=True)
class LayerParameters:
    """Those of one of several foregrounds. placements: one per frame.

    frames: by frame of the clip, the frame of the source that it shows; None: the one with the same index, or an image.
    """

    placements: tuple[Placement, ...]
    frames: tuple[int, ...] | None = None


@dataclass(frozen=True)
class RandomParameters:
    """background_corner: row and column of the frame in the resized background, px. placements, bands (of the training
    trimap): one per frame.

    If the background moves, too, background and camera are its placements and those of the frame's centre, one per
    frame. timing: None if frames of the sources follow one another as in the files. light, lens: None if the clip has
    no effects of light, or of the camera.

    layers: of each foreground, from back to front, if there are several. The first one is the clip's own, to which
    `placements` and `timing` refer.
    """

    background_corner: tuple[int, int]
    placements: tuple[Placement, ...]
    bands: tuple[Band, ...]
    background: tuple[Placement, ...] | None = None
    camera: tuple[Placement, ...] | None = None
    timing: Timing | None = None
    light: LightParameters | None = None
    lens: CameraParameters | None = None
    layers: tuple[LayerParameters, ...] = ()
