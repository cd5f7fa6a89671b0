"""A letter to all readers."""
