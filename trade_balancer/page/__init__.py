"""`lb-metrics`: metrics for Prometheus and a page to look at, made of what a running lb tells those who watch.

Law: a process of its own, and a client like any other: whatever HTTP's clients do, lb does not notice. Reading order:
`news` (what lb tells), `exposition` (that, for Prometheus), `site` (what may be asked for), `request` and `connection`
(HTTP), `program` (the command line, and how lb starts it). The page itself is in files/.
"""
