"""One use case a file. They know the domain and the ports, and nothing of HTTP, SQL or logs: outcomes are returned."""
