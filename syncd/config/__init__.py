"""The configuration: found, read, checked as a whole, and the credentials it points to.

Import the modules, not this package: a reading command wants `places` only and does not pay for the rest.
"""
