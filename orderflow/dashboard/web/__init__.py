"""How it is served: page, socket, endpoints."""
