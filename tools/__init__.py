"""Tools of the development of deepot; no part of the package."""
