"""Records of results, their uncertainty, comparison and report."""
