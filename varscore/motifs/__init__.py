"""Motif matrices: along sequence, beside one another, in clusters, and what a variant does to their sites.

- ``scan``      scores of every placement, the one scanner of the program
- ``pvalues``   how rare a score is, exactly
- ``clusters``  matrices that say the same
- ``alleles``   the sequence around an allele, with and without it, and where the two differ
- ``changes``   sites that an allele breaks, makes or changes
- ``chance``    how many of those an SNV anywhere in the genome has
"""
