"""Media files to arrays and back: videos, stills, and how their frames belong together by time.

In: paths of files that people really have. Out: RGB or grey arrays, uint8, and what a file declares of itself.
This is the only package that imports PyAV, Pillow or OpenCV's codecs, and the only one that knows BGR.
Read `videos` first, then `stills`; `formats` parses what the libraries do not export.
"""
