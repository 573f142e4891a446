"""Objects and listings on any fsspec store: atomic, retried and ranged."""
