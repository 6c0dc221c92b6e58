"""Parts of neurogen inside somebody else's system on chip: to read, to copy and to change."""
