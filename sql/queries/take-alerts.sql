-- One row, the book of alerts; none while another host holds it.
SELECT a.book FROM automapost.take_alerts($1::text) a
