"""Checks of options that several formats have."""


def check_quality(quality: float, minimum: int = 0) -> int:
    """Return a quality from `minimum` to 100 as an integer.

    Raises:
        ValueError: it is out of range.
    """
    if not minimum <= quality <= 100:
        raise ValueError(f"quality is {quality:g}, it must lie between {minimum} and 100")
    return int(quality)


def check_subsampling(text: str) -> str:
    """Return the name of a chroma subsampling.

    Raises:
        ValueError: it is not one that is supported.
    """
    if text not in ("4:4:4", "4:2:2", "4:2:0"):
        raise ValueError(f"subsampling is {text}; there are 4:4:4, 4:2:2, 4:2:0")
    return text
