"""Formats and their extensions."""

from chimle.images.formats import decodable_formats, image_extensions, usual_extension


def test_the_usual_extension_of_a_format_is_one_of_images() -> None:
    assert {usual_extension(name) for name in decodable_formats()} <= image_extensions()
