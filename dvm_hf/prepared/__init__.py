"""Prepared shards: Parquet files made once, loaded anywhere."""
