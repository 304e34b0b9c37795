"""The engine on virtual time, against a model of the API and of the store: `python -m tests.simulation`."""
