"""How many examples a property test tries: few in every run, many in `make proof`."""

from hypothesis import settings


def costly() -> settings:
    """Return the settings of a property whose examples take milliseconds each: a quarter of the profile's number."""
    return settings(max_examples=settings().max_examples // 4)
