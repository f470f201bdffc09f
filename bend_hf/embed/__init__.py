"""From sequences to token vectors and run lengths, for any model, exact and fast; and their store."""
