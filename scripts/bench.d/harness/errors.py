"""What can go wrong: on this machine before anything runs (SetupError), or in one run (TrialError)."""


class SetupError(Exception):
    """The benchmark cannot run here as it was asked to: a missing compiler, an unreadable file, an option without
    meaning.
    """


class TrialError(Exception):
    """A run that does not count: a program failed or stalled, or bytes were lost, added, cut or ordered wrongly."""
