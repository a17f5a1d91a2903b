"""The pages of a store: functions of a `Site` and a query, which return a `Page`. `store.web.routing` lists them."""
