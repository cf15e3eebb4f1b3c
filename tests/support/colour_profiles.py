"""A colour profile that changes every colour of an image."""

from functools import cache

from PIL import ImageCms

RED, BLUE = b"rXYZ", b"bXYZ"
"""Signatures of a profile's tags: the colours of its first and last channel."""


@cache
def exchanged_profile() -> bytes:
    """sRGB with red and blue exchanged: (r, g, b) of it is (b, g, r) of sRGB."""
    content = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return content.replace(RED, b"....").replace(BLUE, RED).replace(b"....", BLUE)
