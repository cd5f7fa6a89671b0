"""A small shop: orders are placed, and charged by background tasks."""
