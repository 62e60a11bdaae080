"""``varscore predict``: probabilities for sequences and intervals."""
