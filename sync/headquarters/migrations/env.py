"""Alembic's entry: runs the migrations on the connection it is handed, all in that connection's one transaction."""

from __future__ import annotations

from alembic import context

from sync.headquarters.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
