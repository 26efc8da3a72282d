"""Run the script of docs/cluster.md on a Slurm of two nodes on this machine, stop a node while it builds, compare.

Needs Debian's slurm-wlm and munge, and root. Starts its own daemons, with their files in a temporary folder, and ends
them. Prints what a user would see, and whether the folder is the one that a single process builds.
"""

import argparse
import hashlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from dvm_hf.synthetic.source_tree import draw_sources

PAGE = Path(__file__).resolve().parents[1] / "docs" / "cluster.md"
NODES, FIRST_PORT = ("n1", "n2"), 17_100
DEADLINE = 900  # seconds
STATES = ["squeue", "-O", "JobArrayID,State,NodeList,RestartCnt"]
CONFIG = """\
ClusterName=dvm
SlurmctldHost={host}
SlurmctldPort=17090
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/%n.log
SlurmdSpoolDir={folder}/spool-%n
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=bf_interval=5,sched_interval=2,batch_sched_delay=0
SlurmdTimeout=10
SlurmctldTimeout=10
KillWait=2
MinJobAge=3600
ReturnToService=2
NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1 RealMemory=4000 State=UNKNOWN
NodeName={other} NodeHostname={host} NodeAddr=127.0.0.1 Port={other_port} CPUs=1 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def script() -> str:
    """Return the script of the page: its first block."""
    return PAGE.read_text(encoding="utf-8").split("```text\n")[1].split("```")[0]


def slurm_environment(folder: Path) -> dict[str, str]:
    """Write the files of a Slurm, and return the environment of its commands."""
    for name in ("state", *(f"spool-{node}" for node in NODES), "bin"):
        (folder / name).mkdir()
    ports = {"port": FIRST_PORT, "other_port": FIRST_PORT + 1}
    text = CONFIG.format(host=socket.gethostname(), folder=folder, name=NODES[0], other=NODES[1], **ports)
    (folder / "slurm.conf").write_text(text)
    (folder / "munge.key").write_bytes(secrets.token_bytes(1024))
    (folder / "munge.key").chmod(0o400)
    program = folder / "bin" / "dvm"  # the one of this clone
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m dvm_hf "$@"\n')
    program.chmod(0o755)
    (folder / "dvm_slurm.sh").write_text(script())
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    return {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": path, "PYTHONPATH": str(PAGE.parents[1])}


def output(command: list[str], environment: dict[str, str], folder: Path) -> str:
    print(f"$ {' '.join(command)}".replace(f"{folder}/", ""), flush=True)
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=True)
    for line in done.stdout.replace(str(folder), "").splitlines():
        print(line.rstrip(), flush=True)
    return done.stdout


def tree_hashes(out: Path) -> dict[str, str]:
    """Return the SHA-256 of the published files."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and ".cache" not in path.parts)
    return {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def wait_for(condition: str, is_met: Callable[[], object], deadline: float) -> None:
    while not is_met():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited too long for {condition}")
        time.sleep(0.5)


def build(folder: Path, shards: int) -> None:
    environment, deadline = slurm_environment(folder), time.monotonic() + DEADLINE
    options = ["--num-shards", str(shards), "--clip-length", "8"]
    draw_sources(folder / "DVM", scale=0.5)
    one = ["dvm", "prepare", "DVM", "one", "--config", "train", *options]
    subprocess.run(one, env=environment, cwd=folder, capture_output=True, check=True)
    munged = ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", f"--key-file={folder}/munge.key"]
    munged += [f"--{name}-file={folder}/munge.{name}" for name in ("pid", "log", "seed")]
    out = folder / "out"
    with ExitStack() as daemons:
        daemons.enter_context(running(munged, environment))
        wait_for("munged", (folder / "munge.socket").exists, deadline)
        daemons.enter_context(running(["slurmctld", "-D", "-c"], environment))
        nodes = {name: daemons.enter_context(running(["slurmd", "-D", "-N", name], environment)) for name in NODES}

        def is_idle() -> bool:
            shown = subprocess.run(["sinfo", "-h", "-o", "%T %D"], env=environment, capture_output=True, text=True)
            return shown.stdout.split() == ["idle", "2"]

        def is_down() -> bool:
            shown = subprocess.run(["sinfo", "-h", "-o", "%T %N"], env=environment, capture_output=True, text=True)
            return f"down* {NODES[1]}" in shown.stdout

        def jobs() -> str:
            shown = subprocess.run(["squeue", "-h", "-o", "%i %T %N"], env=environment, capture_output=True, text=True)
            return shown.stdout

        wait_for("two nodes", is_idle, deadline)
        output(["sinfo"], environment, folder)
        output(["bash", "dvm_slurm.sh", "DVM", "out", "train", *options], environment, folder)
        wait_for("a shard on each node", lambda: len(list((out / "data").glob(".*.tmp"))) == len(NODES), deadline)
        output(STATES, environment, folder)
        stop_node(folder, nodes[NODES[1]], NODES[1])
        print(f"(the node {NODES[1]} is killed while its task builds a shard)", flush=True)
        wait_for("the node to be down", is_down, deadline)
        output(["sinfo"], environment, folder)
        wait_for("the end of all jobs", lambda: not jobs(), deadline)
        output([*STATES, "--states=all"], environment, folder)
        for log in sorted(folder.glob("slurm-*.out"), key=lambda path: path.stat().st_mtime)[-1:]:
            output(["cat", str(log)], environment, folder)
    print("the folder is that of one process:", tree_hashes(out) == tree_hashes(folder / "one"))


def stop_node(folder: Path, slurmd: subprocess.Popen[bytes], node: str) -> None:
    """Kill a node's daemon and the steps that it started."""
    slurmd.kill()
    tasks, steps = [], set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
            parent = process.parent / (process / "stat").read_text().rpartition(")")[2].split()[1]
            if f"SLURMD_NODENAME={node}\0".encode() in environment and str(folder).encode() in environment:
                tasks.append(int(process.name))
                if "slurmstepd" in (parent / "comm").read_text():
                    steps.add(int(parent.name))
        except OSError:
            continue
    for number in (*steps, *tasks):  # a step would report the end of its task
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=8)
    arguments = parser.parse_args()
    missing = [name for name in ("slurmctld", "slurmd", "munged", "sbatch") if shutil.which(name) is None]
    if missing:
        parser.error(f"{', '.join(missing)} not found; on Debian: apt-get install slurm-wlm munge")
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), arguments.shards)


if __name__ == "__main__":
    main()
