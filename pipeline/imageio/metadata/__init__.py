"""EXIF, XMP, IPTC and other metadata, and the policy of what a result keeps."""
