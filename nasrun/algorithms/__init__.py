"""Search algorithms, one class a file; ``base`` holds what they share."""
