"""What people see of a store: sizes and times in units, text without control characters, and safe HTML."""
