"""Source code, by syntax or by indentation."""
