"""Large values in files beside the database."""
