"""Sources on the Hub and in object stores: an address in, a local folder out whose files are fetched when needed.

Read `source_files.py` first. `local_root` lists the files of an address once, and returns a folder that has the
address's folders but not its files. `present` fetches the files of some paths and keeps them while they are read. All
other modules see local paths only.
"""
