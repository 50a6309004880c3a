-- Records whether a definition's schedule can be used. One row: whether it is still that one.
SELECT automapost.note_schedule($1::text, $2::text, $3::text, $4::text)
