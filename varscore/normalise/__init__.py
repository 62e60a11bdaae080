"""Variants in any form, made into a VCF: ``flow`` for the work, ``given`` for what a command may be given."""

from varscore.normalise.flow import Listed, Normalised, listed, normalise, skipped_text, vcf_text, write_vcf
from varscore.normalise.given import Given, demand_all_given, make_vcf, place_for_vcf

__all__ = [
    "Given",
    "Listed",
    "Normalised",
    "demand_all_given",
    "listed",
    "make_vcf",
    "normalise",
    "place_for_vcf",
    "skipped_text",
    "vcf_text",
    "write_vcf",
]
