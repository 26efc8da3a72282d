"""Parsers for what PyAV, Pillow and OpenCV do not export, or export only with a decoded frame.

In: bytes of a file or of a packet. Out: numbers and small tuples.
Each module names the section of the specification that it follows and what was measured to need it.
"""
