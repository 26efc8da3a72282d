"""Foreground colours that a picture does not contain: estimated from the picture and its alpha, and cached.

In: a picture whose soft pixels still hold its old background, and its alpha. Out: the colour of the foreground alone.
Read `estimates.py` first.
"""
