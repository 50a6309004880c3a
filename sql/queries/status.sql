-- What an operator must know: one JSON object.
SELECT automapost.status()
