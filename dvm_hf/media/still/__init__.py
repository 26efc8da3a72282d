"""Stills: PNG and JPEG files to RGB or grey arrays, upright and in sRGB, and back.

Read `stills.py` first.
"""
