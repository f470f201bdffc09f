"""Variant effects without training."""
