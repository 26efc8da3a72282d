"""Push a prepared folder, or the sources themselves, to the Hub.

In: a prepared folder or a source tree, and a repository's name. Out: what changed there.
Read `push` first, for sources `source_push`; `faults` turns errors of `huggingface_hub` into a `HubError`.
"""
