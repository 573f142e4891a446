"""Image metrics, variants of photos and the bootstrap."""
