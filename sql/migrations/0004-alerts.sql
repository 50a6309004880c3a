-- Who has been told of what: one book for all hosts, which one of them holds while it tells. As text,
-- because a message that is sent again must be the same bytes.
CREATE TABLE automapost.alert_book (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    book text NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(book::jsonb) = 'object'),
    taken_by text,
    taken_until timestamptz,
    CHECK ((taken_by IS NULL) = (taken_until IS NULL))
);
INSERT INTO automapost.alert_book DEFAULT VALUES;
