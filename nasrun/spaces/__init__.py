"""Search spaces, one class a file."""
