"""What `make check` and a release do beside the tests. Nothing of it is deployed."""
