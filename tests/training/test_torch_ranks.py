"""Two ranks of torch.distributed as loopback processes: together they yield each sample once."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import require_torch

require_torch()

from dvm_hf.torch import ClipStream  # noqa: E402  where torch is there

ROOT = Path(__file__).resolve().parents[2]
# argv: folder of the sources, rendezvous file, rank, workers. Prints what all ranks got, as rank 0 gathered it.
PROGRAM = """
import itertools, json, sys, time
import torch.distributed as dist
from torch.utils.data import DataLoader
from dvm_hf.torch import ClipStream

data_dir, meeting, rank, workers = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
stream = ClipStream("train", data_dir=data_dir, clip_length=2, crop_size=16, epochs=2, samples_per_clip=3,
                    backgrounds_per_foreground=3, even_ranks=None)
got = [(int(s["epoch"]), int(s["index"]), int(s["frames"].sum())) for s in
       DataLoader(stream, batch_size=None, num_workers=workers)]
epochs_of_capped_passes = []
stream = ClipStream("train", data_dir=data_dir, clip_length=1, crop_size=8, batch_size=2)
loader = DataLoader(stream, batch_size=2, num_workers=workers)
for _ in range(3):
    batches = iter(loader)
    epochs_of_capped_passes += [int(batch["epoch"][0]) for batch in itertools.islice(batches, 2)]
    time.sleep(0.3 * rank)  # while its workers read ahead to the end of the epoch
got = {"samples": got, "epochs_of_capped_passes": epochs_of_capped_passes}
gathered = [None, None]
dist.all_gather_object(gathered, got)
dist.barrier()
dist.destroy_process_group()
if rank == 0:
    print(json.dumps(gathered))
"""


def gathered_by_two_ranks(sources: Path, meeting: Path, workers: int) -> list[dict[str, Any]]:
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(ROOT)}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(sources), str(meeting), str(rank), str(workers)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for rank in range(2)
    ]
    try:
        outputs = [rank.communicate(timeout=90) for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0, 0], outputs
    found: list[dict[str, Any]] = json.loads(outputs[0][0])
    return found


@pytest.mark.parametrize("workers", [0, 2])
def test_two_ranks_share_the_epochs_of_one_process_and_stay_in_step(
    training_sources: Path, tmp_path: Path, workers: int
) -> None:
    fields: dict[str, Any] = {"clip_length": 2, "crop_size": 16, "samples_per_clip": 3, "backgrounds_per_foreground": 3}
    stream = ClipStream("train", data_dir=str(training_sources), epochs=2, **fields)
    alone = [[int(s["epoch"]), int(s["index"]), int(s["frames"].sum())] for s in stream]
    ranks = gathered_by_two_ranks(training_sources, tmp_path / "meeting", workers)
    first, second = (rank["samples"] for rank in ranks)
    assert sorted(first + second) == alone
    assert len({tuple(place) for place in first + second}) == 2 * 9 * 3
    for epoch in range(2):  # 27 samples per epoch: an odd clip is assigned sample by sample
        counts = [sum(sample[0] == epoch for sample in rank) for rank in (first, second)]
        assert sorted(counts) == [13, 14]
    assert [rank["epochs_of_capped_passes"] for rank in ranks] == [[0, 0, 1, 1, 2, 2]] * 2
