"""What `scripts/demo` shows. Reading order: `programs` (the processes), `market`, `bars`, `plain`, `tap` and `record`
(what there is to see), `ordinary_client` (a program of its own).

Law: shows only what the programs say themselves: lb's lines of statistics, the workers' summaries, the client's count.
"""
