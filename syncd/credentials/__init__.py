"""Tokens: encrypted at rest, renewed once however many ask. Knows neither HTTP nor the database."""
