"""Measurements of what deepot costs and what it does to photos; `make bench` runs the timed ones."""
