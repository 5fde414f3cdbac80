"""What the web servers of a benchmark serve: the dashboard with its times told, and the stock admin."""
