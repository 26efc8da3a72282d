"""What a prepared folder says about itself to other programs and to reviewers.

Input: the splits of a complete folder. Output: Croissant metadata (croissant.py) and the answers of a datasheet
(datasheet.py). The same splits give the same bytes.
"""
