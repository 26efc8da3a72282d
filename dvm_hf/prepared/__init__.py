"""Prepared shards: Parquet files that load without this package; builds are resumable, verifiable and repairable.

In: a config. Out: a folder with a manifest, shards and a dataset card.
Read `prepare` first, then `verify`. `atomic_io` makes both safe to interrupt.
"""
