-- What a definition with handler 'http' must have, with errors that name the column (22023), and that no
-- other has its name: who asks for jobs of "http" means all of them. A secret is never in the table:
-- http_credential names a file in /etc/automapost-jobs/credentials.
CREATE OR REPLACE FUNCTION automapost.http_definition_checked()
RETURNS trigger
LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    header record;
BEGIN
    IF NEW.name = 'http' THEN
        RAISE EXCEPTION 'name: http is the name of a handler, and of no definition' USING ERRCODE = '22023',
            HINT = 'Any other name will do.';
    ELSIF NEW.kind <> 'type' THEN
        RAISE EXCEPTION 'handler http is for job types, and % is a service', NEW.name
            USING ERRCODE = '22023';
    ELSIF NEW.touches_world THEN
        RAISE EXCEPTION 'touches_world of % must be false: the application is called again with the same id',
            NEW.name USING ERRCODE = '22023';
    ELSIF COALESCE(NEW.http_url, '') !~ '^https?://[^/?#@[:space:][:cntrl:]]+([/?][^[:space:][:cntrl:]]*)?$' THEN
        RAISE EXCEPTION 'http_url of % must be an http:// or https:// URL without user and password, not %',
            NEW.name, COALESCE('"' || NEW.http_url || '"', 'null') USING ERRCODE = '22023';
    ELSIF COALESCE(NEW.http_credential, '') !~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$' THEN
        RAISE EXCEPTION 'http_credential of % must be the name of a credential file, not %',
            NEW.name, COALESCE('"' || NEW.http_credential || '"', 'null') USING ERRCODE = '22023',
            HINT = 'The file holds the signing secret (whsec_…): /etc/automapost-jobs/credentials/NAME.';
    ELSIF jsonb_typeof(COALESCE(NEW.http_headers, '{}')) <> 'object' THEN
        RAISE EXCEPTION 'http_headers of % must be a JSON object of names and texts', NEW.name
            USING ERRCODE = '22023';
    END IF;
    FOR header IN SELECT h.key, h.value FROM jsonb_each(COALESCE(NEW.http_headers, '{}')) h LOOP
        IF header.key !~ '^[A-Za-z0-9-]{1,64}$' OR jsonb_typeof(header.value) <> 'string'
            OR header.value #>> '{}' !~ '^[\x20-\x7e]+$' OR length(header.value #>> '{}') > 1000 THEN
            RAISE EXCEPTION 'http_headers of %: "%" must be a header''s name with one line of text',
                NEW.name, header.key USING ERRCODE = '22023';
        ELSIF lower(header.key) IN ('authorization', 'proxy-authorization', 'cookie', 'host', 'connection',
                'content-type', 'content-length', 'transfer-encoding', 'expect')
            OR lower(header.key) LIKE 'webhook-%' THEN
            RAISE EXCEPTION 'http_headers of %: % is not yours to set', NEW.name, header.key
                USING ERRCODE = '22023',
                HINT = 'The call is signed: the application checks webhook-signature.';
        END IF;
    END LOOP;
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER job_definitions_http BEFORE INSERT OR UPDATE ON automapost.job_definitions
    FOR EACH ROW WHEN (NEW.handler = 'http' OR NEW.name = 'http')
    EXECUTE FUNCTION automapost.http_definition_checked();

-- The types that a service asks for: those that it knows, and with "http" among them all that are done
-- by calling the application.
CREATE OR REPLACE FUNCTION automapost.asked_types(p_types text[])
RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN CASE WHEN 'http' = ANY (p_types) THEN p_types || ARRAY(
        SELECT d.name::text FROM automapost.job_definitions d WHERE d.handler = 'http')
    ELSE p_types END;
END
$$;
