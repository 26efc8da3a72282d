"""Look at clips: an HTML page, a contact sheet, a video.

In: a source tree, a prepared folder or a dataset. Out: one file.
Read `samples` first, then `html_page`.
"""
