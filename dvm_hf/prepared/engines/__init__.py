"""Engines that run the tasks of a build: in = tasks of shards, out = their outcomes. Read `engine_table.py` first.

Each runs `prepared.shard_task.attempt` and writes the same bytes.
"""
