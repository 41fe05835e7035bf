"""The stack in an AWS account: deploy it, store its token, try it, remove it."""
