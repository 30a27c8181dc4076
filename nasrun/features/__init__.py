"""What turns pictures into vectors, one class a file."""
