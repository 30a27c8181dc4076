"""Statistics, tables and plots over the CSV files that runs leave."""
