"""The commands, one function each: they build and connect everything, and hold no logic of their own."""
