-- The engine's numbers, one JSON object each.
SELECT s FROM automapost.engine_settings() s
