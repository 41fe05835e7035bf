"""What the local cloud and `make deploy` share."""
