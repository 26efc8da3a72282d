"""What HTML pages consist of: text that is safe in a page, pictures, plots, and the shared style.

In: numbers, names and pictures. Out: parts of a self-contained page, without the network and with a strict policy.
Read `html_text` first. `preview` and `evaluation` make the pages.
"""
