"""Read and write videos and stills, and match the frames of two videos by their timestamps.

In: file paths. Out: uint8 RGB or grey arrays, and the metadata that a file declares.
This is the only package that imports PyAV, Pillow or OpenCV's codecs, and the only one that uses BGR.
Read `videos` first, then `stills`; `formats` parses what the libraries do not export.
"""
