"""Foreground colours that a picture does not contain: estimated from the picture and its alpha, and cached.

In: a picture whose soft pixels contain its original background, and its alpha. Out: the foreground's colour alone.
Read `estimates.py` first.
"""
