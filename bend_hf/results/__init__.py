"""Records of results, their uncertainty and comparison."""
