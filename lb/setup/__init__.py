"""`lb-setup`: puts lb in place as a service of systemd, looks whether it can work there, and takes it away again.

Law: a program of its own, that root runs; lb does not import it.
"""
