"""How the product is run: launchers, health checks, configuration, and the local process manager."""
