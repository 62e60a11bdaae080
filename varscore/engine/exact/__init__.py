"""The exact engine: what REF and ALT share is computed once."""
