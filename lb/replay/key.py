"""The forms in which a key may be given, so that it need not stand on a command line."""

import os
from pathlib import Path

from lb.replay.errors import InputError, UsageError


def read_key(form: str) -> str:
    """The key itself, `@FILE` (its first line) or `env:NAME`.

    Raises InputError for a file that cannot be read and UsageError for a variable that is not set or a key that is
    empty.
    """
    if form.startswith("@"):
        key = _first_line(Path(form[1:]))
    elif form.startswith("env:"):
        name = form.removeprefix("env:")
        if name not in os.environ:
            raise UsageError(f"the environment variable {name!r}, named by --key, is not set")
        key = os.environ[name]
    else:
        key = form
    if not key:
        raise UsageError("the key is empty")
    return key


def _first_line(path: Path) -> str:
    try:
        return path.read_text().partition("\n")[0].strip()
    except OSError as error:
        raise InputError(f"the key file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"the key file {path} is not text") from None
