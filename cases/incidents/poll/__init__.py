"""Exports that are made in the background, and a page that waits for them."""
