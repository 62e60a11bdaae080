"""What a network has learnt, held against what is known of motifs."""
