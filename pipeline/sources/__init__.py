"""Parsers of source systems, one file per system, found through `pipeline.sources.registry`."""
