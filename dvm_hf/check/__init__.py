"""Check a source tree before a long build."""
