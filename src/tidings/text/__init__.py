"""Bytes to text, text to chunks, chunks to counted documents. Pure but for `pool`, which runs it in processes of its own.

`documents` (what goes in and out), `version` and `pool` are light to import; all else loads parsers and belongs in the pool's processes.
"""
