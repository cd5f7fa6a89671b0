"""Prices, which are long in the making, and kept for a minute."""
