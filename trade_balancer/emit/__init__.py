"""`lb-emit`: the newest values of a market over websockets, to very many browsers and programs (extra `emit`).

Law: what a client gets is the newest, and what it was too slow for is counted, never kept: nothing here is a queue. A
frame is made once for all who have asked for the same and have got the same before.

Reading order: `forms` (which events there are, and what of them is shown), `board` (the newest value of each topic),
`group` (who has asked for the same; their frames), `sending` (a frame to all of them), `audience` (a tick: one frame
per client), `dialogue` (what a client may say), `door` (who may come in), `visitor` (a connection), `site` (the page),
`sources` and `intake` (where records come from), `counters` and `exposition` (what is counted), `emitter` (all of it in
one process), `processes` (one for each core), `program` (the command line).
"""
