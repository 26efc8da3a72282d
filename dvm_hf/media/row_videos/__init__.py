"""The videos of rows: the frames of one image column of one window, as a small MP4 in memory.

`encoding.py` writes them, `decoding.py` reads them.
"""
