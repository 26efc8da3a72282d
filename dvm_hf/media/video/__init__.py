"""Videos: frames in the order of their presentation, as upright RGB or grey arrays.

Read `videos.py` first.
"""
