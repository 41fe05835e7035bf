"""What `make check` and a release do besides the tests. None of it is deployed."""
