"""Heads on token vectors, and the Accelerate loop that fits them."""
