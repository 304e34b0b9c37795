"""What the daemon answers over HTTP. The only importer of fastapi and uvicorn."""
