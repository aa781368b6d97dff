"""Kafka, both ways: `lb-kafka` hands a feed's records to its brokers, and workers read them from there as from a pipe.

Law: who imports this needs no extra; who runs it needs confluent-kafka (extra `kafka`).
"""
