"""Pages that say what they were asked."""
