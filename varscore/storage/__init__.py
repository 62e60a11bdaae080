"""How bytes get to the disk: files and folders that appear whole, journals, BGZF, bounded reads."""
