"""Contracts: everything that crosses a topic, a file or the API, and the settings. Imports nothing of ours."""
