"""What takes in events as they happen: one module a receiver, and what they share."""
