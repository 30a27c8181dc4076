"""What is measured of a method instead of playing a search, one study a file."""
