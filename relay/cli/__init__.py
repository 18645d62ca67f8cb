"""The commands: one file each. They parse, call `relay.app` or a service, and print.

What is heavy is imported inside a command, when it is known that it runs: ``relay --help`` is there at once.
Data goes to standard output, everything else to standard error.
"""
