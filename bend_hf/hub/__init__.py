"""Preparing, publishing and describing datasets, metrics and results for the Hugging Face Hub."""
