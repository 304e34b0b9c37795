"""The only importer of httpx. One request = budget, credential, send, judge, retry."""
