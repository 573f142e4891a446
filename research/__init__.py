"""One-off measurements behind decisions and claims in the documentation; README.md lists them."""
