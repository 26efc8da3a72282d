"""Compare data sets with those of others: content digests of a source tree or of a prepared folder.

Input: configs of a source tree, or a folder of `dvm prepare`. Output: `Digests`. Read digests.py first; the definition
of a content digest is in `dataset/content_digest.py`.
"""
