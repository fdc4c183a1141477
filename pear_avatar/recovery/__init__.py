"""Recovery: pictures or their landmarks in, an expressive posed body out, in one pass."""
