"""What was ordered, and what was charged for it."""
