"""Settings: YAML, TOML and INI."""
