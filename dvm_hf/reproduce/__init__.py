"""Compare data sets with those of others: content digests, and lists of clips with all that was drawn for them.

Input: configs of a source tree, or a folder of `dvm prepare`. Output: `Digests`, and the JSON of `frozen_clips`. Read
digests.py first; the definition of a content digest is in `dataset/content_digest.py`.
"""
