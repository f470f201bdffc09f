"""Architectures that live nowhere else, as classes of transformers' Auto mechanism."""
