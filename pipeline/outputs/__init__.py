"""Where, in which container and under which name a result is written."""
