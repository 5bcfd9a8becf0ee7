"""Values: their types, their conversion, and the rules by which two are the same. Nothing here does I/O."""
