"""Deep Optimal Transport over collections in object storage, on Ray, with a manifest of every result."""
