-- Deliveries that wait for a person, one JSON object each.
SELECT d FROM automapost.held_deliveries() d
