"""Two ranks under DDP and accelerate, resuming with Lightning, and setups that would split samples twice."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import TreeWriter, require_torch

require_torch()

ROOT = Path(__file__).resolve().parents[2]
DDP, ACCELERATE, LIGHTNING = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs" / "training.md").read_text(encoding="utf-8"), flags=re.DOTALL
)[-3:]
REPORT = """
import json, torch.distributed as dist
gathered = [None, None]
dist.all_gather_object(gathered, seen)
dist.barrier()
if dist.get_rank() == 0:
    print("REPORT", json.dumps(gathered))
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tree DVM of 9 clips: two ranks have 5 and 4 samples, in batches of 2."""
    folder = tmp_path_factory.mktemp("trainers")
    tree = TreeWriter(folder / "DVM")
    for number in range(3):
        tree.still(f"still_{number}", value=90 + 60 * number)
        tree.background(f"{number:04d}")
    return folder


def environment(**variables: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": "lo", "PYTHONWARNINGS": "ignore"} | variables


def two_ranks(code: str, folder: Path, *arguments: str) -> list[subprocess.CompletedProcess[str]]:
    """Run the code in two processes, in the environment that torchrun sets."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=folder,
            env=environment(
                RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        outputs = [rank.communicate(timeout=90) for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    return [
        subprocess.CompletedProcess(rank.args, rank.returncode, *output)
        for rank, output in zip(ranks, outputs, strict=True)
    ]


def report(ranks: list[subprocess.CompletedProcess[str]]) -> Any:
    assert [rank.returncode for rank in ranks] == [0, 0], [rank.stderr[-2000:] for rank in ranks]
    return json.loads(ranks[0].stdout.split("REPORT ")[1])


def noting(code: str) -> str:
    """The page's code, changed to record the samples of each batch."""
    lines = re.sub(
        r"^(for batch in loader:)$", r"seen = []\n\1\n    seen.append(batch['index'].tolist())", code, flags=re.M
    )
    return lines.replace(
        'init_process_group("gloo")', 'init_process_group("gloo", timeout=__import__("datetime").timedelta(seconds=20))'
    )


@pytest.mark.parametrize("code", [DDP, ACCELERATE], ids=["ddp", "accelerate"])
def test_two_ranks_train_in_step_on_different_samples(folder: Path, code: str) -> None:
    """Nine clips: without even ranks, one has three batches and the other two, and DDP waits until the timeout."""
    first, second = report(two_ranks(noting(code) + REPORT, folder))
    assert list(map(len, first)) == list(map(len, second)) == [2, 2]
    indices = [index for batch in first + second for index in batch]
    assert sorted(indices) == list(range(8))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("dispatch", ["None", "False"])
def test_a_loader_that_accelerate_prepares_is_refused_in_every_rank(folder: Path, workers: int, dispatch: str) -> None:
    code = ACCELERATE.replace("num_workers=2", f"num_workers={workers}").replace(
        "Accelerator(cpu=True)",
        "Accelerator(cpu=True, dataloader_config=__import__('accelerate').utils.DataLoaderConfiguration("
        f"dispatch_batches={dispatch}))",
    )
    code = code.replace("for batch in loader:", "for batch in accelerator.prepare(loader):")
    for rank in two_ranks(code, folder):
        assert rank.returncode != 0
        assert "splits the samples among the ranks once more" in rank.stderr


def test_a_stream_made_before_the_process_group_shares_the_epoch(folder: Path) -> None:
    code = DDP.replace('torch.distributed.init_process_group("gloo")\n', "").replace(
        "model =", 'torch.distributed.init_process_group("gloo")\nmodel ='
    )
    first, second = report(two_ranks(noting(code) + REPORT, folder))
    assert sorted(index for batch in first + second for index in batch) == list(range(8))


@pytest.mark.parametrize("workers", [0, 2])
def test_several_processes_without_a_group_are_refused(
    folder: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch.utils.data import DataLoader

    from dvm_hf import ConfigError
    from dvm_hf.torch import ClipStream

    monkeypatch.setenv("WORLD_SIZE", "2")
    stream = ClipStream("train", data_dir=str(folder / "DVM"), clip_length=2, crop_size=16)
    with pytest.raises(ConfigError, match=r"^(Caught .*)?(.|\n)*WORLD_SIZE=2: torch.distributed has no process group"):
        next(iter(DataLoader(stream, batch_size=None, num_workers=workers)))
    both = ClipStream("train", data_dir=str(folder / "DVM"), clip_length=2, crop_size=16, rank=0, world_size=1)
    assert len(list(both)) == 9
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert len(list(stream)) == 9


LIGHTNING_RUN = """
import json, logging, sys
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
import torch, lightning
from lightning.pytorch.callbacks import ModelCheckpoint
from dvm_hf.torch import ClipStream, collate

class Net(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer, self.seen = torch.nn.Conv2d(3, 1, 3), []
    def training_step(self, batch, number):
        self.seen.append([batch["epoch"].tolist(), batch["index"].tolist()])
        return self.layer(batch["frames"][:, 0].float()).mean()
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.0)

def fit(state=None):
    stream = ClipStream("train", data_dir="DVM", clip_length=2, crop_size=16, batch_size=2)
    loader = EpochLoader(stream, batch_size=2, num_workers=int(sys.argv[1]), collate_fn=collate)
    saved = ModelCheckpoint(dirpath=sys.argv[2], filename="{step}", every_n_train_steps=1, save_top_k=-1)
    trainer = lightning.Trainer(accelerator="cpu", max_epochs=3, logger=False, enable_progress_bar=False,
                                enable_model_summary=False, callbacks=[] if state else [saved],
                                enable_checkpointing=not state)
    net = Net()
    trainer.fit(net, loader, ckpt_path=state, weights_only=False)
    return net.seen

whole = fit()
rests = {step: fit(f"{sys.argv[2]}/step={step}.ckpt") for step in (2, 5, 8)}
print("REPORT", json.dumps([whole, rests]))
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_lightning_resumes_with_the_next_batch_from_any_step(folder: Path, tmp_path: Path, workers: str) -> None:
    """Three epochs of 9 samples in batches of 2: 15 steps, of which 5 ends an epoch."""
    done = subprocess.run(
        [sys.executable, "-c", LIGHTNING + LIGHTNING_RUN, workers, str(tmp_path)],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    whole, rests = json.loads(done.stdout.split("REPORT ")[1])
    assert [len(epochs) for epochs, _ in whole] == [2, 2, 2, 2, 1] * 3
    assert sorted({epoch for epochs, _ in whole for epoch in epochs}) == [0, 1, 2]
    assert {step: rest == whole[int(step) :] for step, rest in rests.items()} == dict.fromkeys(rests, True)
