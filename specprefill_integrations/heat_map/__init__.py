"""Token scores as an HTML page."""
