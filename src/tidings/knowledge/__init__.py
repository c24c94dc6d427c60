"""What a bot knows: search over its published documents."""
