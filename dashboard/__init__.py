"""Views of the store for people: tables in a terminal."""
