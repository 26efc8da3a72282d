"""Prepared shards: Parquet files that load without this package, resumable, verified and repaired.

In: a config. Out: a folder with a manifest, shards and a dataset card.
Read `prepare` first, then `verify`; `atomic_io` is what makes both safe to interrupt.
"""
