"""Files and formats: one module a product."""
