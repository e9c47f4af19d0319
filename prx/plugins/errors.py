"""Why a plugin does not load: one helpful sentence, shown on the plugin and nowhere worse."""

from prx.core.errors import PrxError


class LoadError(PrxError):
    """A file in the plugins directory is not a plugin that this daemon can run; the message says why."""

    code = "load_error"


class SupersededError(LoadError):
    """Its files changed before their turn to be compiled came; a newer load is under way."""


class MissingPermissionError(LoadError):
    """It requires a permission that the operator has not granted."""


class UntrustedError(LoadError):
    """Signatures are required, and no trusted key vouches for it."""
