"""One module for each container format."""
