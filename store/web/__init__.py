"""Pages that show a store in a browser: `store web app.db`, and the plugin for Datasette.

Nothing here is loaded by `import store`. Reading a page runs no code of the store: records that other people sealed
are decoded as plain data, each text is escaped (`store.display.html`), and no page allows inline scripts.
"""
