"""Where a prepared folder is: in = its files, out = the same names in a local folder or an object store.

Read `storage.py` first: the operations that both have.
"""
