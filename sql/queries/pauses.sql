-- What is paused or limited, one JSON object each.
SELECT p FROM automapost.pauses() p
