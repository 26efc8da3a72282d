"""Compare predicted mattes with a dataset: numbers per clip and region, and a page that shows where they differ.

In: predictions (pictures, videos or rows) and a reference (sources, a prepared folder or a dataset). Out: `Results`.
Read `pairing` first, then `measurement` and `results`.
"""
