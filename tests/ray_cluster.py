"""Run a Ray cluster of three nodes on this machine until standard input is closed; adds a node for each line of it.

Prints its address, and a line for each node that was added. The first node runs no tasks, so that a test can kill the
others. A separate process, with which all processes of Ray end, even if it is killed. They listen on the loopback
interface only. Each node has caches of its own. FOLDER also gets their temporary files.
"""

import os
import sys
from itertools import count

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}

from ray.cluster_utils import Cluster

NODES = 3
MEMORY = 4_000_000_000  # bytes per node that tasks can ask for; none are reserved


def main(folder: str) -> None:
    settings = {"num_cpus": 1, "memory": MEMORY, "object_store_memory": 80_000_000, "include_dashboard": False}
    names = map(str, count())
    head = {**settings, "num_cpus": 0, "temp_dir": folder, "env_vars": _folders(folder, next(names))}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(NODES - 1):
        cluster.add_node(**settings, env_vars=_folders(folder, next(names)))
    print(cluster.address, flush=True)
    for _ in sys.stdin:
        print(cluster.add_node(**settings, env_vars=_folders(folder, next(names))).unique_id, flush=True)
    cluster.shutdown()


def _folders(folder: str, node: str) -> dict[str, str]:
    """Return the environment of a node."""
    return {
        "DVM_SOURCE_CACHE": os.path.join(folder, "sources", node),
        "HF_HOME": os.path.join(folder, "hf", node),
        "TMPDIR": folder,
    }


if __name__ == "__main__":
    main(sys.argv[1])
