"""The contract with `datasets`: config fields, columns of a row, the builder, and how load_dataset finds it.

In: keyword arguments of load_dataset. Out: rows for Arrow.
Read `builder` first; the config stops there.
"""
