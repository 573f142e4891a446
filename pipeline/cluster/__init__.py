"""Everything that imports Ray, except the metrics."""
