"""Data sets: their images, and the splits that searches on them use."""
