"""The commands, one function each: they build and connect everything.

Beside them stands what belongs to a process and not to a command: its output, its log, its traces, and its reloading.
"""
