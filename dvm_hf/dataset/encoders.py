"""The encoder of videos: its version, and whether this environment has it and `datasets` can store its files."""

import os

from datasets import Video

from dvm_hf.dataset.columns import video_names
from dvm_hf.errors import ConfigError
from dvm_hf.media.row_videos.encoding import encoder_version, has_encoder
from dvm_hf.versions import versions


def encoder_versions(encoding: str) -> dict[str, str]:
    """Return the versions of libraries that decide the bytes of this encoding only."""
    return {"x264": encoder_version()} if encoding == "video" else {}


def require_encoder(encoding: str) -> None:
    """Raise ConfigError if PyAV cannot encode the rows."""
    if encoding == "video" and not has_encoder():
        raise ConfigError(
            f"encoding='video': the imported PyAV {versions()['av']} was built without libx264, which encodes H.264; "
            "install PyAV's own wheel (pip install --force-reinstall av), or use another encoding"
        )


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
