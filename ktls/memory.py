"""Keeping secrets out of other hands: wiping buffers, and forbidding core dumps.

Law: whatever holds a secret for longer than one expression is a bytearray, and is wiped by its owner. The digests that
hashlib and hmac return are immutable `bytes`; Python offers no way to wipe those.
"""

import os

from ktls._ktls import ffi, lib


def wipe(buffer: bytearray) -> None:
    """Overwrite a buffer with zeros, in place."""
    if buffer:
        lib.ktls_wipe(ffi.from_buffer("uint8_t[]", buffer, require_writable=True), len(buffer))


def set_dumpable(dumpable: bool) -> None:
    """Set PR_SET_DUMPABLE (prctl(2)). Without it the process leaves no core, and its user cannot attach a debugger.

    Holds for this process until it executes another program; children made by fork alone inherit it.

    Raises OSError if the kernel refuses.
    """
    result = lib.ktls_set_dumpable(int(dumpable))
    if result < 0:
        raise OSError(-result, os.strerror(-result))
