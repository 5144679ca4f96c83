"""Measuring: what scoring costs, and what compression keeps of what matters."""
