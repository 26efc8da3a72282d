"""The contract with `datasets`: config fields, columns, the builder, and its registration with load_dataset.

In: keyword arguments of load_dataset. Out: rows for Arrow.
Read `builder` first. It resolves the config into plans, so that rendering does not depend on it.
"""
