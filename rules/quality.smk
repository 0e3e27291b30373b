# Placeholder until the report lands in this session.
