"""The engine on PostgreSQL, and on servers that speak its protocol."""
