"""A demonstration catalogue whose goods and pictures are made by our own code."""
