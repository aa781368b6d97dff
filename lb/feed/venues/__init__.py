"""One module per venue: its dialogue and what its status records mean. Law: no I/O."""
