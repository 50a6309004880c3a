-- Every definition with its schedule and slot, one JSON object each.
SELECT s FROM automapost.schedules() s
