"""The feed's side: one session with it, kept open. Law: knows nothing of workers and pipes."""
