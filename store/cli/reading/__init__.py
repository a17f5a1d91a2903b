"""How commands are called: arguments, options, values, selections, completion."""
