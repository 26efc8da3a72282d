"""Push a prepared folder to the Hub in one commit, and read it back.

In: a prepared folder and a repository's name. Out: what changed there.
Read `push` first; `faults` turns errors of `huggingface_hub` into a `HubError`.
"""
