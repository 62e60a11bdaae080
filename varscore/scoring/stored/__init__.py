"""Scores that are there already: a cache of one's own runs, and archives of every SNV of some regions.

A stored score is used only where it has the bytes that computing it again would give.

- ``asked``     what a run is asked to reuse
- ``profile``   what scores are a function of, apart from the variant
- ``columns``   what is stored of an allele
- ``segment``   one file of a cache
- ``cache``     a folder of them
- ``blocks``    a block of an archive, as bytes
- ``archive``   the file of an archive, read
- ``building``  the same, written
- ``reuse``     what a run takes from both, and adds
"""
