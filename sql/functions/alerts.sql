-- Of several hosts that see the same trouble one tells: the one that holds the book of alerts.

-- The book, for two minutes, unless somebody else holds it: then no row. That is longer than a host
-- takes to tell; one that died meanwhile loses it.
CREATE OR REPLACE FUNCTION automapost.take_alerts(p_taker text)
RETURNS TABLE (book text)
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
    UPDATE automapost.alert_book b
    SET taken_by = p_taker, taken_until = clock_timestamp() + interval '2 min'
    WHERE b.taken_until IS NULL OR b.taken_until < clock_timestamp() OR b.taken_by = p_taker
    RETURNING b.book
$$;

-- Writes the book, and gives it back unless p_keep. False: it is not the taker's any more, and nothing
-- was written.
CREATE OR REPLACE FUNCTION automapost.put_alerts(p_taker text, p_book text, p_keep boolean)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
BEGIN
    UPDATE automapost.alert_book b
    SET book = p_book,
        taken_by = CASE WHEN p_keep THEN b.taken_by END,
        taken_until = CASE WHEN p_keep THEN b.taken_until END
    WHERE b.taken_by = p_taker AND b.taken_until >= clock_timestamp();
    RETURN FOUND;
END
$$;
