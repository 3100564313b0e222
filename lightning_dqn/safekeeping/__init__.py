"""What a run keeps on the disk: written whole, verified when read, one run to a folder."""
