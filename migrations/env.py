"""Run by alembic: migrate on the connection that `syncd.store.migrate` hands over, in its transaction."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=context.config.attributes.get("target_metadata"),
    version_table_schema="syncd",
    include_schemas=True,
    include_name=context.config.attributes.get("include_name"),
    transaction_per_migration=False,
)
context.run_migrations()
