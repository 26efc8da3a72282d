"""Parsers for data that PyAV, Pillow and OpenCV do not export, or export only with a decoded frame.

In: bytes of a file or packet. Out: numbers and small tuples.
Each module cites the section of the specification that it implements.
"""
