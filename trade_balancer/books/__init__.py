"""Order books of many venues, kept, merged, and streamed (docs/books.md).

Law: all times are ns since 1970, all prices and sizes whole numbers, scaled by their symbol's decimals.
"""
