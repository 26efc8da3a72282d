"""Plans of shards: which clips a shard has, and from which sources.

In: a config and the clips of a split. Out: a header and a table with a line for each shard.
Read `shard_plan` first, which makes a plan, then `stored_plan`, which reads it.
"""
