"""What varscore writes: VCF with VS_ tags, tables, the score matrix."""
