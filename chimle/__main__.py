"""`python -m chimle`: the command line where the command `chimle` is not installed."""

from chimle.cli.main import main

main()
