"""Recordings: records with the times at which they were received, in files that zstd can read (docs/recording.md).

Reading order: `block` (what a file is made of, without I/O), `reader` (a file, whole or torn), `comparison` (two of
them), `files` (writes them), `left_over` (completes what a crash has left). The command `lb-record` is
`trade_balancer.record`.

Law: a reader believes nothing: what it hands out has the checksum that was written with it.
"""
