"""How the weights in `deepot/embedded` were made; `build.py` runs all steps."""
