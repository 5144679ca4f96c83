"""JSON, and notations close to it."""
