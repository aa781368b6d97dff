"""Limits of sessions and of their opening; times in seconds."""

STEP_TIMEOUT_S = 10.0
"""Longest wait for one answer: a connection, a handshake, the answer to the upgrade, a word of the dialogue."""

HOPELESS_LEAST_DELAY_S = 10.0
"""Before the next try after an answer that only a person can mend: a refused certificate, HTTP 404, a redirection."""

MOST_KERNEL_TLS_FAILURES = 3
KERNEL_TLS_WINDOW_S = 600.0
"""So many sessions that the kernel's TLS has ended within this time are its own fault, and not the network's."""

MOST_RETRY_AFTER_S = 600.0
"""A server's Retry-After is obeyed up to this."""
