"""The encoder of videos: its version, and whether this environment has it and `datasets` can store its files."""

import os

from datasets import Video

from dvm_hf.clips.appearance.named_effects import named_effects
from dvm_hf.dataset.columns import video_names
from dvm_hf.errors import ConfigError
from dvm_hf.media.row_videos.encoding import encoder_version, has_encoder
from dvm_hf.versions import versions


def encoder_versions(encoding: str, camera: str = "none") -> dict[str, str]:
    """Return the versions of libraries that decide the bytes of this encoding or camera only."""
    return {"x264": encoder_version()} if x264_users(encoding, camera) else {}


def require_encoder(encoding: str, camera: str = "none") -> None:
    """Raise ConfigError if PyAV cannot encode the rows, or the composites of the camera."""
    user = next(iter(x264_users(encoding, camera)), None)
    if user and not has_encoder():
        raise ConfigError(
            f"{user}: the imported PyAV {versions()['av']} was built without libx264, which encodes H.264; "
            f"install PyAV's own wheel (pip install --force-reinstall av), or use another {user.partition('=')[0]}"
        )


def x264_users(encoding: str, camera: str) -> list[str]:
    """Return the fields, with their values, that need x264."""
    codes_composites = any(one.name == "h264" for one in named_effects("camera", camera))
    return ["encoding='video'"] * (encoding == "video") + [f"camera={camera!r}"] * codes_composites


def require_storable(columns: tuple[str, ...], *, encoding: str) -> None:
    """Raise ConfigError if `datasets` cannot store the videos of a row in this environment."""
    files = [file for column in columns for file in video_names(column)]
    for file in files if encoding == "video" else ():
        try:
            stored = Video().encode_example({"bytes": b"video", "path": file})
        except Exception as error:  # whatever the import of a damaged video library raises
            text = " ".join(str(error).split())
            raise ConfigError(
                f"encoding='video': `datasets` cannot store videos here ({type(error).__name__}: {text:.200}); repair "
                "or uninstall the library that it imports for videos: torchcodec, or torchvision on datasets 3.6.0"
            ) from error
        if stored["bytes"] is None:
            raise ConfigError(
                f"encoding='video': the working directory {os.getcwd()} has a file {file}, which "
                "`datasets` would store in place of the videos of that name; rename it, or work in another folder"
            )
