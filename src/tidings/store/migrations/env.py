"""Alembic's entry: runs the migrations on the connection that `migrations.upgrade` hands in, inside its transaction."""

from alembic import context

from tidings.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
