"""Where this repository lives: the one address that links in the package are made from."""

URL = "https://github.com/cvlab-book/cvlab"
BRANCH = "main"
