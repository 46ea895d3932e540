"""A fictitious company whose systems write what real ones write, and whose truth is known."""
