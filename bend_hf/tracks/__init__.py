"""Predictions as files that genome browsers and command-line tools read, in the coordinates of the genome."""
