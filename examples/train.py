"""Train a small alpha-refinement network on synthetic clips, resume, and evaluate it: python examples/train.py.

Takes about two minutes and needs PyTorch, the extra `torch` of this package and torchdata. The network sees a frame,
its trimap and what differs from the background, and learns the alpha in the unknown region. The first run takes half
of the steps and saves a checkpoint; the second run resumes from it with a new network, optimiser and stream. Prints
the loss, samples per second and the share of time spent waiting for data. At the end, the network predicts the clips
of the config test, and `dvm evaluate` measures its mattes.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchdata.stateful_dataloader import StatefulDataLoader

from dvm_hf.synthetic.source_tree import draw_if_missing
from dvm_hf.torch import ClipStream, MattingTransform, collate

BATCH = 4
UNKNOWN = 128
TEST = {"backgrounds_per_foreground": 1}  # one clip of each foreground


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, help="a DVM source tree; without it one is drawn")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, help="a folder for the predicted mattes; without it they are not kept")
    options = parser.parse_args()
    torch.set_num_threads(1)  # such a small network does not gain from more; the other cores render clips
    with tempfile.TemporaryDirectory() as folder:
        data_dir = options.data_dir or draw_if_missing(Path(folder, "DVM"), scale=0.4)
        checkpoint = Path(folder, "checkpoint.pt")
        half = options.steps // 2
        losses = train(data_dir, checkpoint, steps=half, workers=options.workers)
        losses += train(data_dir, checkpoint, steps=options.steps - half, workers=options.workers)
        first, last = statistics.mean(losses[:10]), statistics.mean(losses[-50:])
        print(f"loss {first:.3f} in the first 10 steps, {last:.3f} in the last 50: {last / first:.2f} of it")
        predictions = options.out or Path(folder, "predictions")
        predict(data_dir, checkpoint, predictions)
        fields = [f"--{name.replace('_', '-')}={value}" for name, value in TEST.items()]
        subprocess.run(
            [sys.executable, "-m", "dvm_hf", "evaluate", str(predictions), str(data_dir), *fields], check=True
        )


def train(data_dir: Path, checkpoint: Path, *, steps: int, workers: int) -> list[float]:
    """Train for some steps from the checkpoint, if there is one, save a checkpoint, and return the losses."""
    torch.manual_seed(0)
    stream = ClipStream(
        "train",
        data_dir=str(data_dir),
        clip_length=2,
        crop_size=64,
        samples_per_clip=4,
        columns=("frames", "alpha", "trimap", "background"),
        epochs=None,  # without end
        batch_size=BATCH,
        transform=MattingTransform(flip=0.5),
    )
    loader = StatefulDataLoader(stream, batch_size=BATCH, num_workers=workers, collate_fn=collate)
    network = refinement_network()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    if checkpoint.is_file():
        saved = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(saved["network"])
        optimizer.load_state_dict(saved["optimizer"])
        loader.load_state_dict(saved["stream"])

    losses, waited, begin = [], 0.0, time.perf_counter()
    batches = iter(loader)
    for step in range(steps):
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        if step == 0:
            print(f"begins with epoch {int(batch['epoch'][0])}, sample {int(batch['index'][0])}")
        loss = unknown_loss(network, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    spent = time.perf_counter() - begin
    print(f"{steps} steps, loss {statistics.mean(losses[-10:]):.3f}; ", end="")
    print(f"{steps * BATCH / spent:.1f} samples/s, {waited / spent:.0%} of the time waiting for data")
    state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "stream": loader.state_dict()}
    torch.save(state, checkpoint)
    return losses


def refinement_network() -> nn.Module:
    """Maps RGB, trimap and difference from the background (N, 7, H, W) to alpha minus trimap (N, 1, H, W)."""
    layers: list[nn.Module] = []
    channels = 7
    for dilation in (1, 2, 4, 1):
        layers += [nn.Conv2d(channels, 16, 3, padding=dilation, dilation=dilation), nn.BatchNorm2d(16), nn.ReLU()]
        channels = 16
    last = nn.Conv2d(channels, 1, 3, padding=1)
    nn.init.zeros_(last.weight)
    return nn.Sequential(*layers, last)


def unknown_loss(network: nn.Module, batch: dict[str, Any]) -> Tensor:
    """Return the mean absolute error of the alpha in the unknown region, alpha from 0 to 1."""
    frames = {name: batch[name].flatten(0, 1) for name in ("frames", "background", "trimap", "alpha")}
    error = refined_alpha(network, frames).clamp(-0.1, 1.1) - frames["alpha"].float() / 255
    return error[frames["trimap"] == UNKNOWN].abs().mean()


def refined_alpha(network: nn.Module, images: dict[str, Tensor]) -> Tensor:
    """Return the alpha (N, 1, H, W) of N frames, about 0 to 1, from frames, trimap and background in levels."""
    frames, background, trimap = (images[name].float() / 255 for name in ("frames", "background", "trimap"))
    seen = torch.cat([frames - 0.5, trimap - 0.5, 4 * (frames - background).abs()], dim=1)
    refined: Tensor = trimap + network(seen)
    return refined


@torch.no_grad()
def predict(data_dir: Path, checkpoint: Path, out: Path) -> None:
    """Write the predicted mattes of the config test as OUT/CLIP_ID/NNNNN.png."""
    network = refinement_network()
    network.load_state_dict(torch.load(checkpoint, weights_only=True)["network"])
    network.eval()
    columns = ("frames", "trimap", "background")
    fields = {"clip_length": "all", "columns": columns, **TEST}  # a sample is a complete clip
    for sample in ClipStream("test", data_dir=str(data_dir), epochs=1, shuffle=False, **fields):
        folder = out / sample["clip_id"]
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(len(sample["frames"])):
            frame = {name: sample[name][number : number + 1] for name in columns}
            levels = (refined_alpha(network, frame).clamp(0, 1) * 255).round().to(torch.uint8)
            matte = torch.where(frame["trimap"] == UNKNOWN, levels, frame["trimap"])
            Image.fromarray(np.asarray(matte[0, 0])).save(folder / f"{number:05d}.png")


if __name__ == "__main__":
    main()
