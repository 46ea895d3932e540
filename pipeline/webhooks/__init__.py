"""What systems send over HTTP: whether it is theirs, and what a parser of files makes of it."""
