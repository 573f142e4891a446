"""Windows, halos and stitching of tiles, and the retry in smaller tiles when memory is short."""
