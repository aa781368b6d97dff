"""Time limits of a session's opening, in seconds."""

STEP_TIMEOUT_S = 10.0
"""Longest wait for one answer: a connection, a handshake, the answer to the upgrade, a word of the dialogue."""

HOPELESS_LEAST_DELAY_S = 10.0
"""Before the next try after an answer that only a person can mend: a refused certificate, HTTP 404, a redirection."""

MOST_RETRY_AFTER_S = 600.0
"""A server's Retry-After is obeyed up to this."""
