"""The daemon: when each installation is due, and whether all is well. The only importer of apscheduler."""
