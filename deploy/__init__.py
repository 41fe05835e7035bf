"""The stack in somebody's AWS account: put there, given its token, tried, taken away."""
