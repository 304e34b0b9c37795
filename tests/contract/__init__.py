"""Holds a running Revento API against the contract, and tells which side of each gap it takes (`make contract`)."""
