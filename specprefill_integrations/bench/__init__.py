"""What scoring costs, measured on this machine."""
