"""Erasing people from a store: who they are in it, what is theirs, and what stands in its place."""
