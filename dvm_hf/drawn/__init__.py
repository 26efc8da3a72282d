"""The demo's sources: what they look like, drawn."""
