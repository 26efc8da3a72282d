"""The examples of a dataset card: how to load the rows, and how to read their images."""

from dvm_hf.dataset.columns import GREY_COLUMNS, IMAGE_COLUMNS
from dvm_hf.dataset.config import DVMConfig


def how_to_load(split: str, config: DVMConfig) -> str:
    """Return the text of a card's section, with examples that run."""
    shown = next(column for column in IMAGE_COLUMNS if column in config.columns)
    is_video = config.encoding == "video"
    read = _bytes_of_videos() if is_video else _images(shown)
    return f"""\
Requires only `datasets` 3.6.0 or newer. Replace `REPO` with the name of this repository or the path of a local copy:

```python
from datasets import load_dataset

rows = load_dataset("REPO", split="{split}")                      # downloads everything
stream = load_dataset("REPO", split="{split}", streaming=True)    # or: downloads each shard when it is needed
{read}
```
{_how_to_decode(split, shown) if is_video else ""}
For training, stream and shuffle the rows, and assign each node its own shards:

```python
from datasets.distributed import split_dataset_by_node

stream = stream.shuffle(seed=1, buffer_size=16)
stream = split_dataset_by_node(stream, rank=rank, world_size=world_size)  # best if it divides the number of shards
loader = torch.utils.data.DataLoader(stream, batch_size=None, num_workers=4)
```"""


def _images(shown: str) -> str:
    return f"""\
row = next(iter(stream))
row["{shown}"][0], row["clip_id"], row["height"], row["width"]"""


def _bytes_of_videos() -> str:
    return """\
stream = stream.decode(False)  # videos as {"bytes": ..., "path": ...}
row = next(iter(stream))
height, width = row["height"], row["width"]"""


def _how_to_decode(split: str, shown: str) -> str:
    is_grey = shown in GREY_COLUMNS
    return f"""
Read the frames of a video with PyAV (`pip install av`):

```python
import io

import av

with av.open(io.BytesIO(row["{shown}"]["bytes"])) as file:
    frames = [frame.to_ndarray(format="{"gray" if is_grey else "rgb24"}") for frame in file.decode(video=0)]
frames = [frame[:height, :width] for frame in frames]  # without the padding
```

Or let `datasets` 4.0 or newer decode them with `torchcodec` (`pip install torchcodec`):

```python
row = load_dataset("REPO", split="{split}")[0]
frames = row["{shown}"][:]  # uint8 tensor (T, 3, H, W)
frames = frames[:, {0 if is_grey else ":"}, : row["height"], : row["width"]]
```
"""
